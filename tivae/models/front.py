"""Fronts: fixed transformers that stand before a model in the place of an STN."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from tivae.config import TrialConfig
from tivae.data import warps
from tivae.data.datasets import Dataset
from tivae.data.warps import WarpParameters
from tivae.models.stn import SpatialTransformer


class Front(SpatialTransformer):
    """Undoes a rotation, a scale and a shift that it reads from each image, without a gradient step.

    What it reads is cut to the ranges of the augmentation, so that every warp has an inverse.
    """

    def __init__(self, config: TrialConfig):
        super().__init__(config)
        self.ranges = (config.rotation_degrees, config.shift_pixels, config.scale_range)

    @abstractmethod
    def fit(self, images: Dataset) -> None:
        """Takes what the front needs from the base training images."""

    @abstractmethod
    def estimated_warps(self, images: Tensor) -> WarpParameters:
        """The warp that each image (B, 1, H, W) is taken to have undergone, whatever its size."""

    def matrices(self, images: Tensor) -> Tensor:
        found, (degrees, pixels, share) = self.estimated_warps(images), self.ranges
        bounded = WarpParameters(
            rotation_degrees=found.rotation_degrees.clamp(-degrees, degrees),
            shift_x_pixels=found.shift_x_pixels.clamp(-pixels, pixels),
            shift_y_pixels=found.shift_y_pixels.clamp(-pixels, pixels),
            scale=found.scale.clamp(1 - share, 1 + share),
        )
        return warps.inverse(warps.sampling_matrices(bounded, self.size))
