"""Spatial transformers (Jaderberg et al. 2015), in the layout of the tutorial that the paper builds on (Hamrouni).

A localisation network predicts one affine matrix per image, from which a grid and a bilinear sampler make the output.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from tivae import precision
from tivae.config import TrialConfig
from tivae.data import warps
from tivae.data.randomness import generator, initialise, own_draws
from tivae.data.warps import WarpParameters
from tivae.registry import FRONTS


class SpatialTransformer(nn.Module, ABC):
    """Images (B, 1, H, W) to images of the same shape, by an affine warp that is read from each.

    Has no batch statistics: the output of an image depends on that image alone. corners: what the grid and the sampler
    of a learnt one take for an image's corners, see the field `stn_corners`; with centres in the grid alone the
    prediction of an identity makes the picture smaller, by (size - 1) / size.
    """

    def __init__(self, config: TrialConfig):
        super().__init__()
        self.size = config.images.size
        self.fill = config.standardisation.outside(config.fill)
        self.corners = _corners(config)

    @abstractmethod
    def matrices(self, images: Tensor) -> Tensor:
        """(B, 2, 3) matrices from output to input coordinates (see `tivae.data.warps`)."""

    def forward(self, images: Tensor) -> Tensor:
        return self.apply_matrices(images, self.matrices(images))

    def apply_matrices(self, images: Tensor, matrices: Tensor) -> Tensor:
        """`images` warped by `matrices` as this transformer's own output is."""
        return warps.warp(images.to(matrices.dtype), matrices, fill=self.fill)

    def undo(self, images: Tensor, matrices: Tensor) -> Tensor:
        """`images` in the frame of this transformer's output, back in the frame of its input.

        Raises `DegenerateWarp` if one of `matrices` has no inverse.
        """
        warps.check_invertible(matrices)
        return self.apply_matrices(images, warps.inverse(matrices))


class LearntTransformer(SpatialTransformer):
    """Any affine warp, predicted by a localisation network; at first the identity."""

    # Numbers that the localisation network predicts, and those that make the identity.
    start: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    def __init__(self, config: TrialConfig):
        super().__init__(config)
        self.localisation = nn.Sequential(
            nn.Conv2d(1, 8, kernel_size=7),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(8, 10, kernel_size=5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(10 * _left(self.size) ** 2, 32),
            nn.ReLU(),
        )
        self.affine = nn.Linear(32, len(self.start))
        initialise(self, generator(config.seed, "stn weights"))
        nn.init.zeros_(self.affine.weight)
        with torch.no_grad():
            self.affine.bias.copy_(torch.tensor(self.start))

    def matrices(self, images: Tensor) -> Tensor:
        predicted = self._predicted(images).view(-1, 2, 3)
        if self.corners == "edges":
            return predicted
        return warps.with_corners(predicted, self.size, in_grid=True, in_sample=self.corners == "centres")

    def _predicted(self, images: Tensor) -> Tensor:
        """The numbers (B, `start`'s) that describe each image's warp, in full precision whatever the config's."""
        features = self.localisation(images)
        with precision.exact(images.device):
            return self.affine(features.to(self.affine.weight.dtype))


class BoundedTransformer(LearntTransformer):
    """A transformer that undoes a rotation, a scale and a shift of its own estimate; at first the identity.

    The estimate lies within the ranges of the augmentation, range * tanh(...), so that every warp of the augmentation
    can be undone and every output can be warped back: the determinant is in (1 - scale_range)^2 to (1 + scale_range)^2.
    """

    start = (0.0, 0.0, 0.0, 0.0)

    def __init__(self, config: TrialConfig):
        super().__init__(config)
        self.ranges = warps.ranges(config)

    def estimates(self, images: Tensor) -> WarpParameters:
        """The warp that each image (B, 1, H, W) is taken to have undergone."""
        bounded = torch.tanh(self._predicted(images))
        rotation, shift_x, shift_y, scale = (size * bounded[:, i] for i, size in enumerate(self.ranges))
        return WarpParameters(
            rotation_degrees=rotation, shift_x_pixels=shift_x, shift_y_pixels=shift_y, scale=1 + scale
        )

    def matrices(self, images: Tensor) -> Tensor:
        return warps.inverse(warps.sampling_matrices(self.estimates(images), self.size))

    def undo(self, images: Tensor, matrices: Tensor) -> Tensor:
        """As for every transformer; never degenerate, so that no training step waits for a check."""
        return self.apply_matrices(images, warps.inverse(matrices))


def _left(size: int) -> int:
    """Height and width behind the localisation network's convolutions and pooling: 3 of 28, 12 of 64."""
    for kernel in (7, 5):
        size = (size - kernel + 1) // 2
    return size


def _corners(config: TrialConfig) -> str:
    return (config.stn_corners or "edges").removesuffix("_at_use")


def as_pretrained(stn: SpatialTransformer, config: TrialConfig) -> SpatialTransformer:
    """`stn` itself, with the corners that it is pretrained with."""
    if config.stn_corners is not None and config.stn_corners.endswith("_at_use"):
        stn.corners = "edges"
    return stn


def as_used(stn: SpatialTransformer, config: TrialConfig) -> SpatialTransformer:
    """`stn` itself, with the corners that it is used with in front of a model."""
    stn.corners = _corners(config)
    return stn


def build(config: TrialConfig) -> SpatialTransformer:
    """The config's STN with the weights that its seed decides, or its front, which is not yet fitted; on the host."""
    if config.front is not None:
        return FRONTS[config.front](config)
    with own_draws():
        stn = BoundedTransformer(config) if config.stn == "inverse" else LearntTransformer(config)
    # Pooling is four times as fast so on a CPU.
    return stn.to(memory_format=torch.channels_last)


def freeze(stn: SpatialTransformer) -> SpatialTransformer:
    """`stn` itself, in evaluation mode and without gradients."""
    return stn.eval().requires_grad_(False)
