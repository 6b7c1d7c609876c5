"""Joint embeddings: a code trained so that projections of two views agree, with or without a decoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from tivae import precision
from tivae.config import ConfigError, TrialConfig
from tivae.data.randomness import generator, initialise
from tivae.fields import number
from tivae.models.base import Given, Trainable


class JointEmbedding(Trainable):
    """A code (B, latent_dim), which the probe reads, and a projector of it, which the loss compares between two views.

    The projector has two hidden layers of `projector_width` with batch norm and ReLU and as many outputs (Bardes et al.
    2022, section 4.2, with 8192; Zbontar et al. 2021). It is left out when the model is read. With
    `reconstruction_weight` the code is decoded as an autoencoder's is; by default it is not.
    """

    feature_names = ("code",)
    wants = ("second",)

    # It has fields of its own.
    config: Any

    @dataclass(kw_only=True)
    class Fields:
        projector_width: int = number(512, 2, 16_384, help="outputs, and hidden channels, of the projector")

    def __init__(self, config: TrialConfig):
        super().__init__(config, config.latent_dim, config.latent_dim)
        width = self.config.projector_width
        layers: list[nn.Module] = []
        for inputs in (config.latent_dim, width):
            layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        self.projector = nn.Sequential(*layers, nn.Linear(width, width, bias=False))
        initialise(self.projector, generator(config.seed, "projector weights"))

    @classmethod
    def defaults(cls, config: TrialConfig) -> Mapping[str, Any]:  # noqa: ARG003
        return {"reconstruction_weight": None}

    @classmethod
    def unused(cls, config: TrialConfig) -> Collection[str]:
        return (
            "kl_weight",
            *(("reconstruction_target", "output_activation") if config.reconstruction_weight is None else ()),
        )

    @classmethod
    def check(cls, config: TrialConfig) -> None:
        images = (config.train_images or config.images.train_images) - (config.validation_images or 0)
        if images % config.batch_size == 1:
            rule = f"it must leave at least 2 of the {images} training images for the last batch, of which it compares"
            raise ConfigError(f"`batch_size` is {config.batch_size}; {rule} statistics", "batch_size")

    def at_step(self, parameters: Tensor, given: Given) -> Mapping[str, Tensor]:
        assert given.second is not None
        first, second = (self.projector(view) for view in (parameters, given.second))
        # Statistics of a batch in full precision, whatever the config's.
        with precision.exact(first.device):
            return self.between(first.float(), second.float())

    @abstractmethod
    def between(self, first: Tensor, second: Tensor) -> Mapping[str, Tensor]:
        """The `step_terms`, of the projections (B, projector_width) of two views."""


def centred(projections: Tensor) -> Tensor:
    """Less their mean over the batch."""
    return projections - projections.mean(0)


def off_diagonal_squares(matrix: Tensor) -> Tensor:
    """The sum of the squares of all elements of `matrix` (D, D) off its diagonal."""
    return matrix.square().sum() - matrix.diagonal().square().sum()
