"""What all tests share: the real data set, one torch thread, and that nothing is skipped where all is installed."""

import os
import tempfile
from pathlib import Path

import pytest
import torch

from tests.skips import pytest_runtest_makereport  # noqa: F401 (a hook of pytest's)
from tivae.data.loading import load

# Tests run beside other work, and results must not depend on how many cores a machine has.
torch.set_num_threads(1)


def pytest_xdist_auto_num_workers():
    """One more than there are cores: tests of whole runs wait for Ray a good part of their time."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def host():
    """The real Fashion-MNIST, through the real chain: fetched where this machine has none."""
    return load()


@pytest.fixture
def read_only():
    """A folder that nothing can be written to, not by root either."""
    with tempfile.TemporaryDirectory() as name:
        folder, user = Path(name), os.geteuid()
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o700)
