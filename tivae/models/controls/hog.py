"""Histograms of oriented gradients (Dalal and Triggs 2005) and their principal components."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tivae.config import TrialConfig
from tivae.models.components import Components

# Cells of 7 x 7 pixels, of which 4 x 4 fill an image of 28; blocks of 2 x 2 cells.
CELL, BLOCK, ORIENTATIONS = 7, 2, 9
# A block is cut there between its two normalisations ("L2-Hys").
CUT, SMALLEST = 0.2, 1e-5


class HOG(Components):
    """Components (B, latent_dim) of the histograms, as `skimage.feature.hog` computes them, for all images at once.

    Each pixel's central difference counts by its length for one of 9 directions, of 20 degrees each, in its cell; the
    histograms of each block of cells are divided by their norm, cut at 0.2, and divided by it again. The gradient is 0
    in the outermost rows for rows and columns for columns; what no whole cell covers is left out.
    """

    label = "HOG"
    # Directions are counted in classes, so that a derivative would miss what turns from one into the next.
    is_differentiable = False

    @classmethod
    def description_size(cls, config: TrialConfig) -> int:
        blocks = config.images.size // CELL - BLOCK + 1
        return blocks**2 * BLOCK**2 * ORIENTATIONS

    def description(self, images: Tensor) -> Tensor:
        pixels = images * self.config.standardisation.std
        down = functional.pad(pixels[:, :, 2:] - pixels[:, :, :-2], (0, 0, 1, 1))
        right = functional.pad(pixels[:, :, :, 2:] - pixels[:, :, :, :-2], (1, 1))
        length = torch.sqrt(down.square() + right.square())
        angle = torch.rad2deg(torch.atan2(down, right)) % 180
        # Rounding may leave 180 itself, which is 0.
        direction = (angle * (ORIENTATIONS / 180)).floor() % ORIENTATIONS
        classes = torch.arange(ORIENTATIONS, device=images.device)[:, None, None]
        cells = functional.avg_pool2d(length * (direction == classes), CELL)
        blocks = cells.unfold(2, BLOCK, 1).unfold(3, BLOCK, 1).permute(0, 2, 3, 4, 5, 1).flatten(3)
        return _normalised(_normalised(blocks).clamp(max=CUT)).flatten(1)


def _normalised(blocks: Tensor) -> Tensor:
    return blocks * torch.rsqrt(blocks.square().sum(-1, keepdim=True) + SMALLEST**2)
