"""Memory layouts of modules and tensors on each device type, and asynchronous copies."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def memory_format(device: torch.device | str) -> torch.memory_format:
    """The layout of batches of images, and of convolutions' weights, that is fast on `device` and right there.

    MPS: the backward pass of batch norm crashes in channels-last or, on some systems, gives wrong gradients without a
    word (pytorch issue 175189).
    """
    return torch.contiguous_format if torch.device(device).type == "mps" else torch.channels_last


def place(module: AnyModule, device: torch.device | str) -> AnyModule:
    """`module` itself, on `device` and in the layout that is right there."""
    return module.to(device).to(memory_format=memory_format(device))


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` of the host on `device`, without waiting for the work that is queued there."""
    if device.type == "cuda":
        # From memory that may be paged out CUDA copies only after all that is queued.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def match_layout(optimiser: torch.optim.Optimizer) -> None:
    """Gives the optimiser's state the layouts of its parameters: a state from another device type has others.

    The fused optimisers read both as they lie in memory.
    """
    for parameter, state in optimiser.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.dim() == 4:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value).detach()
