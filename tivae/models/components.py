"""Controls that keep the principal components of a fixed description of images."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from tivae import precision
from tivae.config import ConfigError, TrialConfig
from tivae.data.datasets import Dataset
from tivae.models.control import Control


class Components(Control):
    """Coordinates (B, latent_dim) along the directions in which `description` varies most, largest first."""

    feature_names = ("components",)
    learns = True
    mean: Tensor
    directions: Tensor

    def __init__(self, config: TrialConfig):
        super().__init__(config)
        count = self.description_size(config)
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("directions", torch.zeros(config.latent_dim, count))

    @classmethod
    def check(cls, config: TrialConfig) -> None:
        super().check(config)
        most = cls.description_size(config)
        if config.latent_dim > most:
            raise ConfigError(
                f"`latent_dim` is {config.latent_dim}; it must be at most {most}, the components of an image",
                "latent_dim",
            )

    @classmethod
    @abstractmethod
    def description_size(cls, config: TrialConfig) -> int:
        """Numbers in the description of an image."""

    @abstractmethod
    def description(self, images: Tensor) -> Tensor:
        """What images (B, 1, H, W) are described by, (B, `description_size`)."""

    @torch.no_grad()
    def fit(self, images: Dataset) -> None:
        """Mean and directions of the descriptions of `images`; each direction's largest component is positive."""
        # On the host, in double precision, which not every device has.
        total = torch.zeros(len(self.mean), dtype=torch.float64)
        products = torch.zeros(len(total), len(total), dtype=torch.float64)
        for batch in images.batches(1000):
            described = self.description(batch).cpu().double()
            total += described.sum(0)
            products += described.T @ described
        mean = total / len(images)
        _, vectors = torch.linalg.eigh(products / len(images) - mean.outer(mean))
        directions = vectors.flip(1).T[: len(self.directions)]
        largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
        self.mean.copy_(mean)
        self.directions.copy_(directions * largest.sign())

    def encode(self, images: Tensor) -> Tensor:
        with precision.exact(images.device):
            return (self.description(images) - self.mean) @ self.directions.T
