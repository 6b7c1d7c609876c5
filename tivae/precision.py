"""Number formats of a trial's arithmetic on a GPU: TensorFloat-32, full single precision, or bfloat16 in training.

TF32 multiplies with 10 bits of mantissa and adds in float32; bfloat16 has 7. Weights, optimiser and all figures stay
float32. On a CPU and on MPS there is no TF32, and `precision` at its default changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch


@contextlib.contextmanager
def of(precision: str | None, device: torch.device | str) -> Iterator[None]:
    """A block whose matrix products and convolutions on `device` have this `TrialConfig.precision`.

    Torch keeps these settings for the whole process: they are afterwards as they were before, so that the next trial
    in it has its own.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        _set("highest" if precision == "float32" else "high", precision != "float32")
        yield
    finally:
        _set(*before)


def forward(precision: str | None, device: torch.device) -> AbstractContextManager[object]:
    """A block for a training step's loss: convolutions and products in bfloat16 where `precision` is bf16.

    Losses are summed in float32 there as well: autocast keeps them so. bfloat16 has float32's range, so that gradients
    need no scaling.
    """
    if precision != "bf16":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _set(products: str, convolutions: bool) -> None:
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions
