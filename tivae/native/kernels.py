"""The compiled kernels as functions of tensors."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

# The widest vectors hold 16 numbers.
CHANNEL_MULTIPLE = 16


@dataclass(frozen=True)
class Level:
    """Two neighbouring layers of a network: a big image, and a small one with every `stride`-th of its pixels.

    big, small: height and width.
    """

    big: int
    big_channels: int
    small: int
    small_channels: int
    stride: int

    @property
    def name(self) -> str:
        """Ends the names of the level's kernels."""
        return f"{self.big}_{self.big_channels}_{self.small_channels}_{self.stride}"


class Activation(NamedTuple):
    """A batch norm with known statistics, and the leaky ReLU behind it; scale and shift are (C,)."""

    scale: Tensor
    shift: Tensor
    slope: float


class Kernels:
    """3 x 3 convolutions, batch norm and leaky ReLU of float32 tensors (B, H, W, C) on the host.

    They use as many threads as torch; the number moves no bit.

    Padded tensors have a frame of one zero pixel, (B, H + 2, W + 2, C). Weights are (small channels, big channels,
    3, 3): so torch has those of a convolution from big to small, and those of a transposed one from small to big.
    """

    def __init__(self, library: ctypes.CDLL):
        self._library = library
        self._threads = 1

    def packed(self, level: Level, weight: Tensor, *, down: bool) -> Tensor:
        """The weights in the order in which `convolve` reads them."""
        packed = torch.empty(weight.numel())
        if weight.stride(2) != 3 * weight.stride(3):
            weight = weight.contiguous()
        steps = [ctypes.c_long(weight.stride(dimension)) for dimension in (0, 1, 3)]
        self._call(f"pack_{_verb(down)}_{level.name}", weight, *steps, packed)
        return packed

    def convolve(self, level: Level, padded: Tensor, packed: Tensor, bias: Tensor | None, *, down: bool) -> Tensor:
        """The convolution of big images to small ones, or upwards the transposed convolution; not padded."""
        outputs = torch.empty(len(padded), *_shape(level, down))
        self._call(f"{_verb(down)}_{level.name}", padded, packed, bias, outputs, len(padded))
        return outputs

    def convolve_and_activate(
        self, level: Level, padded: Tensor, packed: Tensor, bias: Tensor, activation: Activation, *, down: bool
    ) -> Tensor:
        """`activate` of `convolve`, to the same bits, padded."""
        height, width, channels = _shape(level, down)
        outputs = torch.empty(len(padded), height + 2, width + 2, channels)
        self._call(f"{_verb(down)}_active_{level.name}", padded, packed, bias, *activation, outputs, len(padded))
        return outputs

    def weight_gradient(self, level: Level, padded_big: Tensor, padded_small: Tensor) -> Tensor:
        """Of either convolution; one of the two tensors is the gradient of its output."""
        gradient = torch.empty(3, 3, level.big_channels, level.small_channels)
        self._call(f"weigh_{level.name}", padded_big, padded_small, gradient, len(padded_big))
        return gradient.permute(3, 2, 0, 1)

    def statistics(self, values: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        """Mean, 1 / std, scale and shift (4, C) of a batch; the norm's running statistics are updated."""
        _, size, _, channels = values.shape
        statistics = torch.empty(4, channels)
        running = (norm.running_mean, norm.running_var, norm.momentum, norm.eps)
        name = f"statistics_{channels}_{size}"
        self._call(name, values, norm.weight, norm.bias, *running, statistics, len(values))
        return statistics

    def activate(self, values: Tensor, activation: Activation) -> Tensor:
        """leaky ReLU(values * scale + shift), padded."""
        batch, size, _, channels = values.shape
        activated = torch.empty(batch, size + 2, size + 2, channels)
        self._call(f"activate_{channels}_{size}", values, *activation, activated, batch)
        return activated

    def activation_gradient(
        self, upper: Tensor, values: Tensor, statistics: Tensor, slope: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradient of `values`, padded, and of the norm's weight and bias, from that of the activated values."""
        batch, size, _, channels = values.shape
        gradient = torch.empty(batch, size + 2, size + 2, channels)
        weight, bias = torch.empty(channels), torch.empty(channels)
        name = f"activation_gradient_{channels}_{size}"
        self._call(name, upper, values, statistics, slope, gradient, weight, bias, batch)
        return gradient, weight, bias

    def _call(self, name: str, *arguments: object) -> None:
        if self._threads != torch.get_num_threads():
            self._threads = torch.get_num_threads()
            self._library.use_threads(self._threads)
        getattr(self._library, name)(*(_as_c(argument) for argument in arguments))


def _verb(down: bool) -> str:
    return "gather" if down else "scatter"


def _shape(level: Level, down: bool) -> tuple[int, int, int]:
    if down:
        return level.small, level.small, level.small_channels
    return level.big, level.big, level.big_channels


def _as_c(argument: object) -> object:
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_float(argument) if isinstance(argument, float) else argument
