"""The deterministic autoencoder of the paper's background (section 2.1; Rumelhart, Hinton and Williams 1986)."""

from __future__ import annotations

from collections.abc import Collection

from tivae.config import TrialConfig
from tivae.models.base import Trainable


class DeterministicAutoencoder(Trainable):
    """One code per image (B, latent_dim) and no prior; trained on the reconstruction alone (paper, equation 2)."""

    label = "autoencoder"
    feature_names = ("code",)

    def __init__(self, config: TrialConfig):
        super().__init__(config, config.latent_dim, config.latent_dim)

    @classmethod
    def unused(cls, config: TrialConfig) -> Collection[str]:  # noqa: ARG003
        return ("kl_weight",)
