"""Number formats of a trial's arithmetic on a GPU: TensorFloat-32, full single precision, or bfloat16 in training.

TF32 multiplies with 10 bits of mantissa and adds in float32; bfloat16 has 7. Weights, optimiser and all metrics stay
float32. On a CPU and on MPS there is no TF32, and `precision` at its default changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch


@contextlib.contextmanager
def of(precision: str | None, device: torch.device | str) -> Iterator[None]:
    """A block whose matrix products and convolutions on `device` have this `TrialConfig.precision`, and are repeatable.

    Torch keeps these settings for the whole process: they are afterwards as they were before, so that the next trial
    in it has its own.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    try:
        # The same bits from the same device: cuDNN's fastest algorithms add up in any order.
        _set("highest" if precision == "float32" else "high", precision != "float32", True)
        yield
    finally:
        _set(*before)


@contextlib.contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """A block in full single precision, whatever is around it: for what decides where an image is read.

    A matrix in bfloat16 moves pixels by up to 0.09.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(of("float32", device))
        if torch.is_autocast_enabled(device.type):
            stack.enter_context(torch.autocast(device.type, enabled=False))
        yield


def forward(precision: str | None, device: torch.device) -> AbstractContextManager[object]:
    """A block for a training step's loss: convolutions and products in bfloat16 where `precision` is bf16.

    Losses are summed in float32 there as well: autocast keeps them so. bfloat16 has float32's range, so that gradients
    need no scaling.
    """
    if precision != "bf16":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _set(products: str, convolutions: bool, deterministic: bool) -> None:
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cudnn.deterministic = deterministic
