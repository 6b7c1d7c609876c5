"""Autoencoding transformations rather than data (AET; Zhang, Qi, Wang and Luo 2019)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from tivae.config import TrialConfig
from tivae.data.randomness import generator, initialise
from tivae.metric import Metric
from tivae.models.base import Given, Trainable

WIDTH = 256


class AET(Trainable):
    """A code (B, latent_dim); a network predicts the warp from the codes of an image and of its warped copy.

    Loss: squared error of rotation, shifts and scale, each over its range, mean over the four (the paper's equation 2
    with a parametric transformation). The code then holds what has been warped and how, and so is not invariant.
    """

    label = "AET"
    feature_names = ("code",)
    wants = ("base", "warps")
    step_terms = (Metric("warp_error", "squared error of the predicted warp, over its ranges", low=0),)

    def __init__(self, config: TrialConfig):
        super().__init__(config, config.latent_dim, config.latent_dim)
        layers = (nn.Linear(2 * config.latent_dim, WIDTH), nn.LeakyReLU(), nn.Linear(WIDTH, 4))
        self.head = nn.Sequential(*layers)
        initialise(self.head, generator(config.seed, "head weights"))

    @classmethod
    def unused(cls, config: TrialConfig) -> Collection[str]:  # noqa: ARG003
        return ("kl_weight", "reconstruction_weight", "reconstruction_target", "output_activation")

    def at_step(self, parameters: Tensor, given: Given) -> Mapping[str, Tensor]:
        assert given.base is not None
        assert given.warps is not None
        predicted = self.head(torch.cat([given.base, parameters], dim=1))
        return {"warp_error": functional.mse_loss(predicted, given.warps)}

    def step_total(self, terms: Mapping[str, Tensor]) -> Tensor:
        return terms["warp_error"]
