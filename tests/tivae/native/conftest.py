"""Kernels are tested where they can be compiled, and leave neither a library nor a number of threads behind."""

import pytest
import torch

from tivae.native import library


@pytest.fixture(autouse=True)
def _a_compiler_and_nothing_left(request):
    if library.find_compiler() is None and "without_a_compiler" not in request.node.name:
        pytest.skip("no C++ compiler here; install g++")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    library._loaded.cache_clear()
