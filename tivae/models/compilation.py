"""Compilation by torch for a GPU: fewer and larger kernels, replayed as CUDA graphs to spare the host their launches.

Only on CUDA and only where the environment variable TIVAE_KERNELS is `compiled`: its gain has not been measured, and it
costs about a minute for each model in each process.
"""

from __future__ import annotations

import functools
import os
import warnings
from typing import Any

import torch
from torch import nn

from tivae import native

# `reduce-overhead` is torch's name for CUDA graphs; fixed shapes, since an epoch has two sizes of batches.
OPTIONS: dict[str, Any] = {"mode": "reduce-overhead", "dynamic": False}


def wanted(device: torch.device) -> bool:
    """Whether training on `device` compiles the networks."""
    return device.type == "cuda" and os.environ.get(native.VARIABLE) == "compiled" and compiles()


@functools.cache
def compiles() -> bool:
    """Whether this torch compiles layers of its own: 2.8 leaves them as they are, silently."""
    compiled: list[object] = []

    def backend(module: Any, inputs: Any) -> Any:  # noqa: ARG001
        compiled.append(module)
        return module.forward

    layers = nn.Sequential(nn.Linear(1, 1))
    layers.compile(backend=backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layers(torch.ones(1, 1))
    return bool(compiled)


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
