"""What all tests share: the real data set, and one torch thread."""

import pytest
import torch

from tivae import fashion_mnist

# Tests run beside other work, and figures must not depend on how many cores a machine has.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def host():
    """The real Fashion-MNIST, through the real chain: fetched where this machine has none."""
    return fashion_mnist.load()
