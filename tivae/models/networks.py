"""Convolutional encoder and decoder in PyTorch-VAE's layout (Subramanian 2020), for square images.

Three hidden layers as in the paper (section 3.2), their widths from the config. Strided 3 x 3 convolutions halve the
image, 28 -> 14 -> 7 -> 4 -> 2 or 64 -> 32 -> 16 -> 8 -> 4; the decoder goes back the same way with transposed
convolutions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from tivae import native
from tivae.data import placement
from tivae.models import compilation


class Encoder(nn.Module):
    """Images (B, 1, `size`, `size`) to hidden features (B, `features`).

    residual_blocks: so many stand behind each strided convolution; there are no compiled kernels for them.
    """

    def __init__(self, size: int, widths: Sequence[int], residual_blocks: int = 0):
        super().__init__()
        layers: list[nn.Module] = []
        for channels_in, channels_out in zip((1, *widths), widths, strict=False):
            layers += [
                nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=2, padding=1),
                nn.BatchNorm2d(channels_out),
                nn.LeakyReLU(),
                *(Residual(channels_out) for _ in range(residual_blocks)),
            ]
        self.layers = nn.Sequential(*layers)
        sizes = _sizes(size, len(widths))
        self.features = widths[-1] * sizes[-1] ** 2
        self.plan = native.plan(widths, sizes) if residual_blocks == 0 else None

    def forward(self, images: Tensor) -> Tensor:
        return _run(self, images).flatten(1)


class Residual(nn.Module):
    """f(x + g(x)) of hidden maps x (B, `channels`, h, w): g two 3 x 3 convolutions with batch norm, f leaky ReLU.

    The basic block of He et al. 2016, figure 2, with this encoder's activation.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return functional.leaky_relu(maps + self.layers(maps))


class Decoder(nn.Module):
    """Latents (B, `inputs`) to standardised images (B, 1, `size`, `size`).

    With `output_activation="tanh"` the image lies in (-1, 1), although standardised pixels reach 2.02: PyTorch-VAE
    ends so, and the paper's losses suggest that it kept that. `linear` has no bound.
    """

    def __init__(self, inputs: int, size: int, widths: Sequence[int], output_activation: str):
        super().__init__()
        sizes = _sizes(size, len(widths))
        self.shape = (widths[-1], sizes[-1], sizes[-1])
        self.input = nn.Linear(inputs, widths[-1] * sizes[-1] ** 2)
        channels = (*reversed(widths), widths[0])
        layers: list[nn.Module] = []
        for depth, (channels_in, channels_out) in enumerate(itertools.pairwise(channels)):
            small, big = sizes[-1 - depth], sizes[-2 - depth]
            layers += [
                nn.ConvTranspose2d(
                    channels_in,
                    channels_out,
                    kernel_size=3,
                    stride=2,
                    padding=1,
                    output_padding=big + 1 - 2 * small,
                ),
                nn.BatchNorm2d(channels_out),
                nn.LeakyReLU(),
            ]
        layers.append(nn.Conv2d(widths[0], 1, kernel_size=3, padding=1))
        if output_activation == "tanh":
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)
        self.plan = native.plan(widths, sizes)

    def forward(self, latents: Tensor) -> Tensor:
        return _run(self, self.input(latents).view(-1, *self.shape))


def kernels_of(model: nn.Module) -> str:
    """The implementation of `model`'s convolutions in training on its device: `native`, `compiled` or `torch`."""
    networks = [part for part in model.modules() if isinstance(part, Encoder | Decoder)]
    on_host = all(parameter.device.type == "cpu" for parameter in model.parameters())
    if networks and on_host and all(native.available(network.plan) for network in networks):
        return "native"
    return "compiled" if networks and all(compilation.wanted(p.device) for p in model.parameters()) else "torch"


def _run(network: Encoder | Decoder, inputs: Tensor) -> Tensor:
    if network.plan is not None and native.fits(network, inputs):
        outputs = native.run(network.plan, network.layers, inputs)
        if outputs is not None:
            return outputs
    inputs = inputs.contiguous(memory_format=placement.memory_format(inputs.device))
    if network.training and compilation.wanted(inputs.device):
        return compilation.prepare(network.layers)(inputs)
    # Not a call, which may be compiled: for the shapes of training alone.
    return network.layers.forward(inputs)


def _sizes(size: int, depth: int) -> list[int]:
    """Height and width before and after each stride-2 convolution: 28, 14, 7, 4, 2, say."""
    sizes = [size]
    for _ in range(depth):
        sizes.append((sizes[-1] + 1) // 2)
    return sizes
