"""Kernels are tested where they can be compiled."""

import pytest

from tivae.native import library


@pytest.fixture(autouse=True)
def _a_compiler(request):
    if library.find_compiler() is None and "without_a_compiler" not in request.node.name:
        pytest.skip("no C++ compiler here; install g++")
