"""Compiles the kernels for the layers of one network, once per machine, and loads them."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

_log = logging.getLogger("tivae")
_SOURCE = Path(__file__).with_name("kernels.cpp")
# Contraction to fused multiply-adds is allowed, reordering of sums is not: every machine with such instructions gives
# the same bits, whatever the width of its vectors.
FLAGS = ("-O3", "-march=native", "-std=c++17", "-ffp-contract=fast", "-fPIC", "-shared")
# The widest vectors hold 16 numbers.
CHANNEL_MULTIPLE = 16


@dataclass(frozen=True)
class Level:
    """Two neighbouring layers of a network: a big image, and a small one with `stride` big pixels to a pixel."""

    big: int
    big_channels: int
    small: int
    small_channels: int
    stride: int

    @property
    def name(self) -> str:
        return f"{self.big}_{self.big_channels}_{self.small_channels}_{self.stride}"


class Kernels:
    """Convolutions and batch norms on float32 tensors (B, H, W, C) of the host.

    Padded tensors have a frame of one zero pixel, (B, H + 2, W + 2, C). Weights are (small channels, big channels, 3, 3),
    which is how torch stores those of a convolution from big to small, and of a transposed one from small to big.
    """

    def __init__(self, library: ctypes.CDLL):
        self._library = library

    def gather(self, level: Level, padded_big: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution: small images, not padded."""
        small = torch.empty(len(padded_big), level.small, level.small, level.small_channels)
        packed = self._packed("pack_gather", level, weight)
        self._call(f"gather_{level.name}", padded_big, packed, bias, small, len(small))
        return small

    def scatter(self, level: Level, padded_small: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The transposed convolution: big images, not padded."""
        big = torch.empty(len(padded_small), level.big, level.big, level.big_channels)
        packed = self._packed("pack_scatter", level, weight)
        self._call(f"scatter_{level.name}", padded_small, packed, bias, big, len(big))
        return big

    def weight_gradient(self, level: Level, padded_big: Tensor, padded_small: Tensor) -> Tensor:
        """Of either convolution, one of the two tensors being the gradient of its output."""
        gradient = torch.empty(3, 3, level.big_channels, level.small_channels)
        self._call(f"weigh_{level.name}", padded_big, padded_small, gradient, len(padded_big))
        return gradient.permute(3, 2, 0, 1)

    def statistics(self, values: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        """Mean, inverse deviation, scale and shift (4, C) of a batch; updates the running statistics."""
        saved = torch.empty(4, values.shape[3])
        running = (norm.running_mean, norm.running_var)
        self._call(
            f"statistics_{values.shape[3]}_{values.shape[1]}",
            *(values, norm.weight, norm.bias, *running, norm.momentum, norm.eps, saved, len(values)),
        )
        return saved

    def activate(self, values: Tensor, scale: Tensor, shift: Tensor, slope: float) -> Tensor:
        """leaky ReLU(values * scale + shift), padded."""
        batch, size, _, channels = values.shape
        activated = torch.empty(batch, size + 2, size + 2, channels)
        self._call(f"apply_{channels}_{size}", values, scale, shift, slope, activated, batch)
        return activated

    def activation_gradient(
        self, upper: Tensor, values: Tensor, saved: Tensor, slope: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of `values`, padded, and of the norm's weight and bias, from that of the activated values."""
        batch, size, _, channels = values.shape
        gradient = torch.empty(batch, size + 2, size + 2, channels)
        scale, shift = torch.empty(channels), torch.empty(channels)
        self._call(f"backward_{channels}_{size}", upper, values, saved, slope, gradient, scale, shift, batch)
        return gradient, scale, shift

    def _packed(self, function: str, level: Level, weight: Tensor) -> Tensor:
        packed = torch.empty(weight.numel())
        if weight.stride(2) != 3 * weight.stride(3):
            weight = weight.contiguous()
        steps = [ctypes.c_long(weight.stride(dimension)) for dimension in (0, 1, 3)]
        self._call(f"{function}_{level.name}", weight, *steps, packed)
        return packed

    def _call(self, name: str, *arguments: object) -> None:
        getattr(self._library, name)(*(_as_c(argument) for argument in arguments))


def _as_c(argument: object) -> object:
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_float(argument) if isinstance(argument, float) else argument


VARIABLE = "TIVAE_KERNELS"


def kernels(encoder: tuple[Level, ...], decoder: tuple[Level, ...]) -> Kernels | None:
    """The kernels of an encoder and a decoder with these levels; None, with a warning, where they can't be compiled.

    None as well where the environment variable TIVAE_KERNELS is `torch`.
    """
    wanted = os.environ.get(VARIABLE, "native")
    if wanted not in ("native", "torch"):
        raise ValueError(f"{VARIABLE} is {wanted!r}; it must be native or torch")
    return _loaded(encoder, decoder) if wanted == "native" else None


@functools.cache
def _loaded(encoder: tuple[Level, ...], decoder: tuple[Level, ...]) -> Kernels | None:
    lines = [f"LEVEL({x.big}, {x.big_channels}, {x.small}, {x.small_channels}, {x.stride})" for x in encoder + decoder]
    lines += [f"NORM({x.small_channels}, {x.small})" for x in encoder]
    lines += [f"NORM({x.big_channels}, {x.big})" for x in decoder[:-1]]
    source = "\n".join([_SOURCE.read_text(), *sorted(set(lines)), ""])
    try:
        return Kernels(ctypes.CDLL(str(_compiled(source))))
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("training uses torch's own layers, at half the speed (%s)", error)
        return None


def _compiled(source: str) -> Path:
    compiler = next(
        filter(None, (shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++"))), None
    )
    if compiler is None:
        raise OSError("no C++ compiler was found; install g++")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    content = "\n".join([source, *FLAGS, version, _processor()])
    file = cache_folder() / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.so"
    if file.exists():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        (Path(folder) / "kernels.cpp").write_text(source)
        command = [compiler, *FLAGS, "-o", "kernels.so", "kernels.cpp"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise OSError(f"{compiler} failed: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}")
        # Several processes may compile at the same time; the last one wins, with the same content.
        os.replace(Path(folder) / "kernels.so", file)
    return file


def cache_folder() -> Path:
    """`tivae/kernels` in the user's folder for caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tivae" / "kernels"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()} {platform.node()}"
    return "\n".join(
        sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    )
