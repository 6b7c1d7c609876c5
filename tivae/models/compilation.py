"""Compilation by torch for a GPU: fewer and larger kernels, replayed as CUDA graphs to spare the host their launches.

Only on CUDA and only where the environment variable TIVAE_KERNELS is `compiled`: its gain has not been measured, and it
costs about a minute for each model in each process.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn

from tivae import native

# `reduce-overhead` is torch's name for CUDA graphs; fixed shapes, since an epoch has two sizes of batches.
OPTIONS: dict[str, Any] = {"mode": "reduce-overhead", "dynamic": False}


def wanted(device: torch.device) -> bool:
    """Whether training on `device` compiles the networks."""
    return device.type == "cuda" and os.environ.get(native.VARIABLE) == "compiled"


def prepare(layers: nn.Module) -> nn.Module:
    """`layers`, of which each call is compiled from now on; their weights and names stay as they are."""
    if layers._compiled_call_impl is None:
        _allow_every_size()
        layers.compile(**OPTIONS)
    return layers


def _allow_every_size() -> None:
    """All networks share one `forward`, of which Dynamo compiles eight versions and then, silently, no more."""
    from torch._dynamo import config

    config.recompile_limit = config.accumulated_recompile_limit = 10_000
    config.fail_on_recompile_limit_hit = True


def begin_step(device: torch.device) -> None:
    """Tells CUDA graphs that what the last step has left may be overwritten."""
    if wanted(device):
        torch.compiler.cudagraph_mark_step_begin()
