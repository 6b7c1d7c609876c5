"""The pixels themselves."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from tivae.config import TrialConfig
from tivae.models.control import Control


class Pixels(Control):
    """The standardised pixels themselves (B, H * W)."""

    label = "raw pixels"
    feature_names = ("pixels",)

    @classmethod
    def unused(cls, config: TrialConfig) -> Collection[str]:
        return [*super().unused(config), "latent_dim"]

    @classmethod
    def encoding_dim(cls, config: TrialConfig) -> int:
        return config.images.pixels

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)
