"""Spatial transformer (Jaderberg et al. 2015), in the layout of the tutorial that the paper builds on (Hamrouni).

A localisation network predicts one affine matrix per image, from which a grid and a bilinear sampler make the output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tivae import warps
from tivae.config import TrialConfig
from tivae.datasets import fill_value
from tivae.randomness import generator, initialise


class SpatialTransformer(nn.Module):
    """Images (B, 1, 28, 28) to images of the same shape; at first the identity.

    Has no batch statistics: the output of an image depends on that image alone.
    """

    def __init__(self, config: TrialConfig):
        super().__init__()
        self.fill = fill_value(config.fill)
        self.localisation = nn.Sequential(
            nn.Conv2d(1, 8, kernel_size=7),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(8, 10, kernel_size=5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(10 * 3 * 3, 32),
            nn.ReLU(),
        )
        self.affine = nn.Linear(32, 6)
        initialise(self, generator(config.seed, "stn weights"))
        nn.init.zeros_(self.affine.weight)
        with torch.no_grad():
            self.affine.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def matrices(self, images: Tensor) -> Tensor:
        """(B, 2, 3) matrices from output to input coordinates (see `tivae.warps`)."""
        return self.affine(self.localisation(images)).view(-1, 2, 3)

    def forward(self, images: Tensor) -> Tensor:
        return warps.warp(images, self.matrices(images), fill=self.fill)


def freeze(stn: SpatialTransformer) -> SpatialTransformer:
    """`stn` itself, in evaluation mode and without gradients."""
    return stn.eval().requires_grad_(False)
