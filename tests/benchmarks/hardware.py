"""The machine that a benchmark ran on, and the speed of its arithmetic."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import time
from typing import Any

import torch

from tivae.io import provenance
from tivae.native import library

# A product of 1024 x 1024 matrices as a convolution: oneDNN uses the widest vectors on every processor, MKL does not.
_SIZE = 1024

# Twelve independent sums: more than any processor's latency times its throughput. Gives the operations done.
_ROUNDS = 100_000
_LOOP = """
#if defined(__AVX512F__)
typedef float Vector __attribute__((vector_size(64)));
#elif defined(__AVX__)
typedef float Vector __attribute__((vector_size(32)));
#else
typedef float Vector __attribute__((vector_size(16)));
#endif
static volatile float sink;
extern "C" int multiply_add(int rounds) {
  Vector sum[12], factor = Vector{} + 0.999f, more = Vector{} + 0.001f;
  for (int i = 0; i < 12; ++i)
    sum[i] = Vector{} + (float)i;
  for (int round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i)
      sum[i] = sum[i] * factor + more;
  }
  for (int i = 1; i < 12; ++i)
    sum[0] += sum[i];
  sink = sum[0][0];
  return rounds * 12 * 2 * (int)(sizeof(Vector) / sizeof(float));
}
"""


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
    """The most single-precision arithmetic that one core can do here, in GFLOP/s: multiply-adds that wait for nothing.

    how: `compiled`, a loop over registers, or `convolution`, torch's best layer, where there is no compiler.
    """

    def __init__(self) -> None:
        try:
            self._loop = ctypes.CDLL(str(library.compiled(_LOOP)))
            self.how = "compiled"
        except (OSError, subprocess.SubprocessError):
            self.how = "convolution"
        source = torch.Generator().manual_seed(0)
        self._images = torch.randn(1, _SIZE, 32, 32, generator=source).to(memory_format=torch.channels_last)
        self._weights = torch.randn(_SIZE, _SIZE, 1, 1, generator=source).to(memory_format=torch.channels_last)

    def measure(self, repetitions: int = 4) -> float:
        """The best of some tries."""
        return max(self._flops_per_second() for _ in range(repetitions)) / 1e9

    @torch.no_grad()
    def _flops_per_second(self) -> float:
        started = time.thread_time()
        if self.how == "compiled":
            flops = self._loop.multiply_add(_ROUNDS)
        else:
            torch.nn.functional.conv2d(self._images, self._weights)
            flops = 2 * _SIZE**3
        return flops / (time.thread_time() - started)


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
