"""Principal component analysis of the training images."""

from __future__ import annotations

import torch
from torch import Tensor

from tivae import precision
from tivae.config import ConfigError, TrialConfig
from tivae.data.datasets import Dataset
from tivae.models.control import Control


class PCA(Control):
    """Coordinates (B, latent_dim) along the training images' directions of largest variance, largest first.

    Of all linear maps to so many numbers, that with the smallest squared error of reconstruction (Pearson 1901).
    """

    label = "PCA"
    feature_names = ("components",)
    learns = True
    mean: Tensor
    directions: Tensor

    def __init__(self, config: TrialConfig):
        super().__init__(config)
        self.register_buffer("mean", torch.zeros(config.images.pixels))
        self.register_buffer("directions", torch.zeros(config.latent_dim, config.images.pixels))

    @classmethod
    def check(cls, config: TrialConfig) -> None:
        super().check(config)
        most = config.images.pixels
        if config.latent_dim > most:
            raise ConfigError(
                f"`latent_dim` is {config.latent_dim}; it must be at most {most}, the components of an image",
                "latent_dim",
            )

    @torch.no_grad()
    def fit(self, images: Dataset) -> None:
        """Mean and directions of `images`; each direction's largest component is positive."""
        # On the host, in double precision, which not every device has.
        total = torch.zeros(len(self.mean), dtype=torch.float64)
        products = torch.zeros(len(total), len(total), dtype=torch.float64)
        for batch in images.batches(1000):
            pixels = batch.flatten(1).cpu().double()
            total += pixels.sum(0)
            products += pixels.T @ pixels
        mean = total / len(images)
        _, vectors = torch.linalg.eigh(products / len(images) - mean.outer(mean))
        directions = vectors.flip(1).T[: len(self.directions)]
        largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        self.mean.copy_(mean)
        self.directions.copy_(directions * largest.sign())

    def encode(self, images: Tensor) -> Tensor:
        with precision.exact(images.device):
            return (images.flatten(1) - self.mean) @ self.directions.T

    def reconstruct(self, images: Tensor) -> Tensor:
        """The images' projections on the directions."""
        with precision.exact(images.device):
            pixels = self.encode(images) @ self.directions + self.mean
        return pixels.view(-1, *images.shape[1:])

    def features(self, parameters: Tensor, name: str, noise: Tensor | None = None) -> Tensor:  # noqa: ARG002
        self.check_feature(name)
        return parameters
