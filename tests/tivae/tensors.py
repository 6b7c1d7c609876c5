"""Tensors that several test files look at."""

import torch

from tivae.data.randomness import generator


def random(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed, "test"))


def whole(dataset):
    """All its images in one batch."""
    return dataset.batch(slice(0, len(dataset)))
