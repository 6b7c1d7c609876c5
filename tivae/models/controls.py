"""Controls: what a linear classifier reads without a trained model. No gradient step is made for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tivae import precision
from tivae.config import TrialConfig
from tivae.data.datasets import Dataset
from tivae.data.randomness import generator, initialise
from tivae.models.base import Model
from tivae.models.networks import Encoder


class Control(Model):
    """A model that is fitted, if at all, in closed form."""

    def fit(self, images: Dataset) -> None:
        """Takes what the control needs from the training images, as the model sees them."""


class Pixels(Control):
    """The standardised pixels themselves (B, H * W)."""

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def features(self, parameters: Tensor, kind: str, noise: Tensor | None = None) -> Tensor:  # noqa: ARG002
        if kind != "pixels":
            raise self._no_feature(kind, "pixels")
        return parameters


class PCA(Control):
    """Coordinates (B, latent_dim) along the training images' directions of largest variance, largest first.

    Of all linear maps to so many numbers, that with the smallest squared error of reconstruction (Pearson 1901).
    """

    mean: Tensor
    directions: Tensor

    def __init__(self, config: TrialConfig):
        super().__init__(config)
        self.register_buffer("mean", torch.zeros(config.images.pixels))
        self.register_buffer("directions", torch.zeros(config.latent_dim, config.images.pixels))

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

    def features(self, parameters: Tensor, kind: str, noise: Tensor | None = None) -> Tensor:  # noqa: ARG002
        if kind != "components":
            raise self._no_feature(kind, "components")
        return parameters


class Untrained(Control):
    """The mean (B, latent_dim) of the VAE with the same seed and sizes, before its first step."""

    def __init__(self, config: TrialConfig):
        super().__init__(config)
        self.encoder = Encoder(config.images.size, config.hidden_widths)
        # The VAE's whole layer, mean and log variance, so that the same numbers are drawn for it.
        self.posterior = nn.Linear(self.encoder.features, 2 * config.latent_dim)
        initialise(self, generator(config.seed, "weights"))

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior(self.encoder(images))[:, : self.config.latent_dim]

    def features(self, parameters: Tensor, kind: str, noise: Tensor | None = None) -> Tensor:  # noqa: ARG002
        if kind != "mean":
            raise self._no_feature(kind, "mean")
        return parameters
