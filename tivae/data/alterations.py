"""Alterations of views of training images besides warps: brightness, noise and erasing."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tivae.config import TrialConfig
from tivae.data.placement import send
from tivae.data.randomness import generator

# Fields of noise, of which each view takes one: they come to a device once, and no training step waits for any.
NOISE_FIELDS = 4096
# Of a rectangle that is erased: its share of the image, and its height over its width (Zhong et al. 2020).
ERASED_SHARE, ERASED_ASPECT = (0.02, 0.33), (0.3, 1 / 0.3)


class Alterations:
    """Draws the alterations of the images of an epoch.

    In this order: pixels p in [0, 1] become f p, f uniform in 1 +- `view_brightness`, but not above 1; Gaussian noise
    with the standard deviation `view_noise`, in units of the pixels' own, is added; and with probability
    `view_erasing` a rectangle becomes black: its area is uniform in 2 to 33 % of the image, its aspect log-uniform in
    0.3 to 3.3, its place uniform.
    """

    def __init__(self, config: TrialConfig, device: torch.device):
        self._config, self._device = config, device
        self._fields: Tensor | None = None
        if config.view_noise is not None:
            size = config.images.size
            drawn = torch.randn(NOISE_FIELDS, 1, size, size, generator=generator(config.seed, "view noise"))
            self._fields = send(config.view_noise * drawn, device)

    def draw(self, count: int, source: torch.Generator) -> Altered:
        """The next alterations of `count` images from `source`, a generator on the host."""
        config, size = self._config, self._config.images.size
        uniform = torch.rand(7, count, generator=source)
        factor = 1 + (config.view_brightness or 0.0) * (2 * uniform[0] - 1)
        field = (uniform[1] * NOISE_FIELDS).floor()
        share = _between(ERASED_SHARE, uniform[2])
        aspect = torch.exp(_between((math.log(ERASED_ASPECT[0]), math.log(ERASED_ASPECT[1])), uniform[3]))
        height = (size * (share * aspect).sqrt()).round().clamp(1, size)
        width = (size * (share / aspect).sqrt()).round().clamp(1, size)
        top, left = ((size - extent + 1) * place for extent, place in ((height, uniform[4]), (width, uniform[5])))
        height = height * (uniform[6] < (config.view_erasing or 0.0))
        drawn = torch.stack([factor, field, top.floor(), left.floor(), height, width], dim=1)
        return Altered(config, send(drawn, self._device), self._fields)


def _between(ends: tuple[float, float], uniform: Tensor) -> Tensor:
    return ends[0] + (ends[1] - ends[0]) * uniform


class Altered:
    """Drawn alterations (N, 6): factor, field of noise, and top, left, height and width of the rectangle."""

    def __init__(self, config: TrialConfig, drawn: Tensor, fields: Tensor | None):
        self._standardisation = config.standardisation
        self._brightness, self._erasing = config.view_brightness is not None, config.view_erasing is not None
        self._drawn, self._fields = drawn, fields

    def __call__(self, images: Tensor, index: Tensor | slice) -> Tensor:
        """Standardised `images` (B, 1, H, W), those at `index`, altered."""
        drawn = self._drawn[index]
        black, white = self._standardisation.outside("black"), self._standardisation.white
        if self._brightness:
            images = ((images - black) * drawn[:, 0].view(-1, 1, 1, 1) + black).clamp(max=white)
        if self._fields is not None:
            images = images + self._fields[drawn[:, 1].long()]
        if self._erasing:
            places = torch.arange(images.shape[-1], device=images.device)
            top, left, height, width = (drawn[:, column, None] for column in range(2, 6))
            rows = (places >= top) & (places < top + height)
            columns = (places >= left) & (places < left + width)
            images = images.masked_fill((rows[:, :, None] & columns[:, None])[:, None], black)
        return images
