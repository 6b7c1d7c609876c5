"""The deterministic autoencoder of the paper's background (section 2.1; Rumelhart, Hinton and Williams 1986)."""

from __future__ import annotations

import torch
from torch import Tensor

from tivae.config import TrialConfig
from tivae.models.base import Autoencoder, ImageLosses, Unsupported


class DeterministicAutoencoder(Autoencoder):
    """One code per image (B, latent_dim) and no prior; trained on the reconstruction alone (paper, equation 2)."""

    def __init__(self, config: TrialConfig):
        super().__init__(config, config.latent_dim, config.latent_dim)

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior(self.encoder(images))

    def noise(self, count: int, source: torch.Generator) -> Tensor:  # noqa: ARG002
        """No numbers (count, 0): the code needs none."""
        return torch.zeros(count, 0)

    def latents(self, parameters: Tensor, noise: Tensor, step: int) -> Tensor:  # noqa: ARG002
        return parameters

    def modes(self, parameters: Tensor) -> Tensor:
        return parameters

    def kl_parts(self, parameters: Tensor) -> Tensor:
        """Zeros, which leave the loss to the reconstruction; a code has no KL."""
        return torch.zeros_like(parameters)

    def kl_between(self, parameters: Tensor, others: Tensor) -> Tensor:  # noqa: ARG002
        raise Unsupported("an autoencoder has no posterior, and so no KL between two of them")

    def total(self, losses: ImageLosses) -> Tensor:
        """The training loss, mean over the batch: reconstruction_weight * MSE."""
        weight = self.config.reconstruction_weight
        assert weight is not None
        return weight * losses.reconstruction.mean()

    def features(self, parameters: Tensor, kind: str, noise: Tensor | None = None) -> Tensor:  # noqa: ARG002
        if kind != "code":
            raise self._no_feature(kind, "code")
        return parameters
