"""Generators derived by name, so that a new use of randomness moves no other number."""

from __future__ import annotations

import hashlib
import math
from contextlib import AbstractContextManager

import torch
from torch import nn


def generator(seed: int, purpose: str) -> torch.Generator:
    """A generator that depends on (seed, purpose) alone; zero is a valid seed.

    On the host, so that all device types draw the same numbers, and a trial can move to another.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def own_draws() -> AbstractContextManager[None]:
    """A block in which torch's constructors may draw: the global generator is afterwards as it was before."""
    return torch.random.fork_rng(devices=[])


def initialise(module: nn.Module, source: torch.Generator) -> None:
    """Redraws all convolution and linear weights of `module` from `source`, as torch's own defaults would.

    Torch's constructors draw from the global generator; a trial's weights must depend on its seed alone.
    Weight and bias ~ U(-1/sqrt(fan_in), 1/sqrt(fan_in)), which is Kaiming's uniform with a = sqrt(5).
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=source)
            if layer.bias is not None:
                fan_in = layer.weight[0].numel()
                bound = 1 / math.sqrt(fan_in)
                nn.init.uniform_(layer.bias, -bound, bound, generator=source)
