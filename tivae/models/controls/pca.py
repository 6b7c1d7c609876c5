"""Principal component analysis of the training images."""

from __future__ import annotations

from torch import Tensor

from tivae import precision
from tivae.config import TrialConfig
from tivae.models.components import Components


class PCA(Components):
    """Coordinates (B, latent_dim) along the training images' directions of largest variance, largest first.

    Of all linear maps to so many numbers, that with the smallest squared error of reconstruction (Pearson 1901).
    """

    label = "PCA"

    @classmethod
    def description_size(cls, config: TrialConfig) -> int:
        return config.images.pixels

    def description(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def reconstruct(self, images: Tensor) -> Tensor:
        """The images' projections on the directions."""
        with precision.exact(images.device):
            pixels = self.encode(images) @ self.directions + self.mean
        return pixels.view(-1, *images.shape[1:])
