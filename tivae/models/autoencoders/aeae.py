"""The affine equivariant autoencoder (AEAE; Guo, Zhu, Liu and Yin 2019)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tivae.config import ConfigError, TrialConfig
from tivae.fields import number
from tivae.metric import Metric
from tivae.models.base import Given, Trainable

# Of a warp: rotation, two shifts and scale.
NUMBERS = 4


class AEAE(Trainable):
    """A code (B, latent_dim) whose last four numbers move with the warp, and whose others stay.

    f: encoder, g: decoder, x: a base image, T its warp with parameters s, each over its range, v: four learnt factors.
    To the reconstruction of T x from f(T x) the loss adds, at the same weight, the squared errors of g(f(x)) against x
    and, times `equivariance_weight`, of g(f(x) + (0, ..., 0, v s)) against T x: the paper's relaxed objective.
    """

    label = "AEAE"
    feature_names = ("code",)
    wants = ("base", "warps")
    step_terms = (
        Metric("base_error", "squared error of the base image's own reconstruction", "per pixel", low=0),
        Metric("equivariance_error", "squared error of the image decoded from the moved code", "per pixel", low=0),
    )
    # It has a field of its own.
    config: Any

    class Fields:
        equivariance_weight: float = number(1.0, 0, help="of the image that AEAE decodes from a moved code")

    def __init__(self, config: TrialConfig):
        super().__init__(config, config.latent_dim, config.latent_dim)
        self.factors = nn.Parameter(torch.ones(NUMBERS))

    @classmethod
    def unused(cls, config: TrialConfig) -> Collection[str]:  # noqa: ARG003
        return ("kl_weight", "reconstruction_target")

    @classmethod
    def check(cls, config: TrialConfig) -> None:
        if config.latent_dim <= NUMBERS:
            raise ConfigError(
                f"`latent_dim` is {config.latent_dim}; it must be above {NUMBERS}, the numbers of a warp", "latent_dim"
            )

    def at_step(self, parameters: Tensor, given: Given) -> Mapping[str, Tensor]:  # noqa: ARG002
        assert given.base is not None
        assert given.base_seen is not None
        assert given.warps is not None
        moved = given.base + functional.pad(self.factors * given.warps, (self.config.latent_dim - NUMBERS, 0))
        # One pass for both, so that batch norm sees them as one batch.
        base, warped = self.decode(torch.cat([given.base, moved])).chunk(2)
        return {
            "base_error": functional.mse_loss(base, given.base_seen),
            "equivariance_error": functional.mse_loss(warped, given.seen),
        }

    def step_total(self, terms: Mapping[str, Tensor]) -> Tensor:
        config = self.config
        errors: Tensor = terms["base_error"] + config.equivariance_weight * terms["equivariance_error"]
        return config.reconstruction_weight * errors
