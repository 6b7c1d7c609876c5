"""An encoder as it is before its first training step."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

from tivae.config import TrialConfig
from tivae.data.randomness import generator, initialise
from tivae.models.control import Control
from tivae.models.networks import Encoder


class Untrained(Control):
    """The mean (B, latent_dim) of the VAE with the same seed and sizes, before its first step."""

    label = "untrained encoder"
    feature_names = ("mean",)

    def __init__(self, config: TrialConfig):
        super().__init__(config)
        self.encoder = Encoder(config.images.size, config.hidden_widths)
        # The VAE's whole layer, mean and log variance, so that the same numbers are drawn for it.
        self.posterior = nn.Linear(self.encoder.features, 2 * config.latent_dim)
        initialise(self, generator(config.seed, "weights"))

    @classmethod
    def unused(cls, config: TrialConfig) -> Collection[str]:
        return [name for name in super().unused(config) if name != "hidden_widths"]

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior(self.encoder(images))[:, : self.config.latent_dim]
