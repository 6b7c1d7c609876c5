"""What all tests share: the real data set, and one torch thread."""

import gc

import pytest
import torch

from tivae.data.loading import load

# Tests run beside other work, and figures must not depend on how many cores a machine has.
torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def _imported_modules_are_no_garbage():
    """statsmodels collects garbage in each call: 0.2 s among the objects of all that is imported here, 1 ms without."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def host():
    """The real Fashion-MNIST, through the real chain: fetched where this machine has none."""
    return load()
