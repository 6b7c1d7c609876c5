"""The machine that a benchmark ran on, and the speed of its arithmetic."""

from __future__ import annotations

import os
import platform
import time
from typing import Any

import torch

from tivae import provenance

# 1024 x 1024 products by a convolution: oneDNN reaches the widest vectors on every processor, MKL's product does not.
_SIZE = 1024


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system and versions as plain values."""
    known = provenance.describe("cuda" if torch.cuda.is_available() else "cpu")
    names = ("device", "device_name", "platform", "python", "torch", "commit")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else None
    processor = provenance.describe("cpu")["device_name"]
    return {name: known[name] for name in names} | {
        "processor": processor,
        "machine": platform.machine(),
        "cores": usable_cores(),
        "memory_gib": None if memory is None else round(memory, 1),
        "load_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Peak:
    """The fastest single-precision arithmetic that this thread is seen to do, in GFLOP/s."""

    def __init__(self) -> None:
        source = torch.Generator().manual_seed(0)
        self._images = torch.randn(1, _SIZE, 32, 32, generator=source).to(memory_format=torch.channels_last)
        self._weights = torch.randn(_SIZE, _SIZE, 1, 1, generator=source).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def measure(self, repetitions: int = 4) -> float:
        """The best of some products of two 1024 x 1024 matrices."""
        best = float("inf")
        for _ in range(repetitions):
            started = time.thread_time()
            torch.nn.functional.conv2d(self._images, self._weights)
            best = min(best, time.thread_time() - started)
        return 2 * _SIZE**3 / best / 1e9


def flops_per_training_image(model: torch.nn.Module) -> float:
    """Multiplications and additions of convolutions and linear layers for one image, forward and backward.

    The backward pass is counted as two forward ones; norms, activations and losses are not counted.
    """
    total = 0.0

    def count(layer: Any, inputs: Any, outputs: Any) -> None:
        nonlocal total
        if isinstance(layer, torch.nn.Linear):
            total += layer.weight.numel()
        elif isinstance(layer, torch.nn.ConvTranspose2d):
            total += layer.weight.numel() * inputs[0][0, 0].numel()
        else:
            total += layer.weight.numel() * outputs[0, 0].numel()

    kinds = torch.nn.Linear | torch.nn.Conv2d | torch.nn.ConvTranspose2d
    handles = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, kinds)]
    try:
        # Gradients are asked for in evaluation mode, which torch's own layers compute: the hooks see them.
        parameters = model.eval().encode(torch.zeros(1, 1, 28, 28))  # type: ignore[operator]
        model.decode(model.modes(parameters))  # type: ignore[operator]
    finally:
        for handle in handles:
            handle.remove()
    return 2 * 3 * total
