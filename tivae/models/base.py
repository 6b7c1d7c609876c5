"""The interface of models: encodings for a probe, and for trained ones losses, latents and images.

A model is a class in a module of its own, which declares all that the rest of the project needs to know of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from tivae.config import TrialConfig
from tivae.data.randomness import generator, initialise
from tivae.metric import Metric
from tivae.models.model_input import ModelInput, plain
from tivae.models.networks import Decoder, Encoder


@dataclass(frozen=True)
class ImageLosses:
    """Losses per image, each of shape (B,).

    reconstruction: squared error averaged over pixels, in standardised units.
    kl: divergence of the posterior from the prior, summed over latents, in nats; 0 for a model without a posterior.
    terms: the model's `loss_terms`, by name.
    """

    reconstruction: Tensor
    kl: Tensor
    terms: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """What a training step knows of its batch besides the images: what the model `wants`, and None otherwise.

    seen: the first view itself, as the encoder has seen it; always given.
    second: the encoder's output for another view of each image, with other warps; base: that for the base images, and
    base_seen these. All are encoded in one pass with the first view. labels: classes (B,) int64. warps: of the first
    view, (B, 4) float32: rotation, shifts along x and y, and scale - 1, each over its range in the config, so that they
    lie in [-1, 1].
    """

    seen: Tensor
    second: Tensor | None = None
    base: Tensor | None = None
    base_seen: Tensor | None = None
    labels: Tensor | None = None
    warps: Tensor | None = None


class Unsupported(ValueError):
    """The model does not support this operation."""


class Model(nn.Module, ABC):
    """Standardised images (B, 1, H, W), square and of the data set's size, to encodings.

    `parameters` below is what the encoder makes of the images as one tensor, whose shape the model defines.

    A subclass declares:
    label: its name in tables and figures; label_field: its own field whose value is its name there.
    feature_names: what a probe can read from it, the default first; `sample` is given noise. hard_features: those of
    them that have no derivative; is_differentiable: whether the others have one.
    is_trained: whether gradient steps are made for it; has_posterior: whether its encoder gives a posterior over
    latents, which has samples and a KL.
    loss_terms: terms of its loss beside reconstruction and KL; each is a column of the losses on every set of images.
    wants: the fields of `Given` that its training needs; with `labels` it is a ceiling, and no unsupervised model.
    has_pose: whether the ranges of the warps are bounds in the model, whatever images it is trained on.
    Fields: a class with fields of its own, declared as those of `TrialConfig`; the config then has them as well.
    """

    label: ClassVar[str]
    label_field: ClassVar[str | None] = None
    feature_names: ClassVar[tuple[str, ...]]
    hard_features: ClassVar[tuple[str, ...]] = ()
    is_differentiable: ClassVar[bool] = True
    is_trained: ClassVar[bool]
    has_posterior: ClassVar[bool] = False
    loss_terms: ClassVar[tuple[Metric, ...]] = ()
    wants: ClassVar[tuple[str, ...]] = ()
    has_pose: ClassVar[bool] = False

    def __init__(self, config: TrialConfig):
        super().__init__()
        self.config = config

    @classmethod
    def defaults(cls, config: TrialConfig) -> Mapping[str, Any]:  # noqa: ARG003
        """Defaults of optional fields of the config, besides 1 for `reconstruction_weight`."""
        return {}

    @classmethod
    def unused(cls, config: TrialConfig) -> Collection[str]:  # noqa: ARG003
        """The fields of the config that decide nothing for this model; they become None."""
        return ()

    @classmethod
    def check(cls, config: TrialConfig) -> None:
        """Raises `ConfigError` where fields that are legal by themselves do not go together."""

    @classmethod
    def encoding_dim(cls, config: TrialConfig) -> int:
        """Numbers per image in the encodings, whichever features are read."""
        return config.latent_dim

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """The encoder's output, for an autoencoder the posterior's parameters."""

    def features(self, parameters: Tensor, name: str, noise: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Features (B, D) for a probe, from `encode`'s output; `name` is one of `feature_names`.

        noise: what `sample` needs, as the model's `noise` draws it. A model with one name need not say more: its
        features are that output itself.

        Raises `Unsupported` for features that the model does not have.
        """
        self.check_feature(name)
        assert len(self.feature_names) == 1, f"{type(self).__name__} has several features, and must tell them apart"
        return parameters

    def noise(self, count: int, source: torch.Generator) -> Tensor:  # noqa: ARG002
        """Noise for `count` posterior samples, on the host."""
        raise Unsupported(f"{self.config.model} has no posterior to sample from")

    def reconstruct(self, images: Tensor) -> Tensor:  # noqa: ARG002
        """Images (B, 1, H, W) decoded from the most probable latents; no noise."""
        raise Unsupported(f"{self.config.model} makes no reconstructions")

    def sample(self, count: int, source: torch.Generator) -> Tensor:  # noqa: ARG002
        """Images (count, 1, H, W) decoded from samples of the prior."""
        raise Unsupported(f"{self.config.model} has no prior to sample from")

    def check_feature(self, name: str) -> None:
        """Raises `Unsupported` where `name` is none of `feature_names`."""
        if name not in self.feature_names:
            *others, last = self.feature_names
            listed = f"{', '.join(others)} and {last}" if others else last
            raise Unsupported(f"feature is {name}; a {self.config.model} has {listed}")


class Trainable(Model):
    """An encoder to a posterior over latents, or to a code, and a decoder unless `reconstruction_weight` is None.

    What is below is that of a model without a posterior. A subclass can also declare:
    relaxes: whether latents are relaxed in training, so that images decoded from `modes` differ from those there.
    step_terms: terms of the training loss that are made of what it `wants`; each is a column of the training images
    alone.
    """

    is_trained = True
    relaxes: ClassVar[bool] = False
    step_terms: ClassVar[tuple[Metric, ...]] = ()

    def __init__(self, config: TrialConfig, encoder_outputs: int, decoder_inputs: int):
        super().__init__(config)
        self.encoder = Encoder(config.images.size, config.hidden_widths, config.residual_blocks or 0)
        self.posterior = nn.Linear(self.encoder.features, encoder_outputs)
        self.decoder: nn.Module | None = None
        if config.reconstruction_weight is not None:
            self.decoder = self.make_decoder(decoder_inputs)
        initialise(self, generator(config.seed, "weights"))

    def make_decoder(self, inputs: int) -> nn.Module:
        """From latents (B, `inputs`) to images; its convolutions and linear layers are initialised with the others."""
        config = self.config
        return Decoder(inputs, config.images.size, config.hidden_widths, config.output_activation)

    @property
    def scores_images(self) -> bool:
        """Whether it has a loss of each image, and not only of whole batches in training."""
        return self.decoder is not None or self.has_posterior or bool(self.loss_terms)

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior(self.encoder(images))

    def noise(self, count: int, source: torch.Generator) -> Tensor:  # noqa: ARG002
        """Noise for `count` posterior samples, on the host."""
        return torch.zeros(count, 0)

    def latents(self, parameters: Tensor, noise: Tensor, step: int) -> Tensor:  # noqa: ARG002
        """Posterior samples (B, D), differentiable in `parameters`; `step` counts optimiser steps."""
        return parameters

    def modes(self, parameters: Tensor) -> Tensor:
        """The most probable latents (B, D)."""
        return parameters

    def kl_parts(self, parameters: Tensor) -> Tensor:
        """KL(posterior || prior) per image and latent (B, latent_dim), in nats."""
        return torch.zeros_like(parameters)

    def kl_between(self, parameters: Tensor, others: Tensor) -> Tensor:  # noqa: ARG002
        """KL(posterior || other posterior) per image (B,), summed over latents, in nats."""
        raise Unsupported(f"{self.config.model} has no posterior, and so no KL between two of them")

    def kl(self, parameters: Tensor) -> Tensor:
        """KL(posterior || prior) per image (B,), summed over latents, in nats."""
        return self.kl_parts(parameters).flatten(1).sum(1)

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 1, H, W) of `latents` (B, D). Raises `Unsupported` without a decoder."""
        if self.decoder is None:
            raise Unsupported(f"this {self.config.model} makes no reconstructions: `reconstruction_weight` is not set")
        images: Tensor = self.decoder(latents)
        return images

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.modes(self.encode(images)))

    def losses(self, images: Tensor, noise: Tensor, step: int) -> ImageLosses:
        """Reconstruction of `images` themselves and KL, per image, with one posterior sample each."""
        return self.score(self.encode(images), plain(images), noise, step)

    def score(self, parameters: Tensor, inputs: ModelInput, noise: Tensor, step: int) -> ImageLosses:
        """Reconstruction of the input's target and KL, per image, with one sample each of posterior `parameters`.

        Without a decoder the reconstruction is 0.
        """
        error = parameters.new_zeros(len(parameters))
        if self.decoder is not None:
            error = self.errors(self.latents(parameters, noise, step), inputs)
        return ImageLosses(error, self.kl(parameters), self.terms(parameters))

    def errors(self, latents: Tensor, inputs: ModelInput) -> Tensor:
        """Squared error (B,), mean over pixels, between the image of `latents` and the input's target."""
        decoded = self.decode(latents)
        restored = decoded if inputs.restore is None else inputs.restore(decoded)
        return functional.mse_loss(restored, inputs.target, reduction="none").mean(dim=(1, 2, 3))

    def terms(self, parameters: Tensor) -> Mapping[str, Tensor]:  # noqa: ARG002
        """The model's `loss_terms` by name, each per image (B,)."""
        return {}

    def total(self, losses: ImageLosses) -> Tensor:
        """The loss of images, mean over the batch: reconstruction_weight * MSE + kl_weight * KL.

        The paper's section 3.2 for the VAE; PyTorch-VAE weighs the categorical reconstruction by 30. A model with
        `loss_terms` adds them.
        """
        loss = (self.config.reconstruction_weight or 0.0) * losses.reconstruction.mean()
        return loss + self.config.kl_weight * losses.kl.mean() if self.has_posterior else loss

    def at_step(self, parameters: Tensor, given: Given) -> Mapping[str, Tensor]:  # noqa: ARG002
        """The model's `step_terms` by name, each a scalar; `parameters` are those of the first view."""
        return {}

    def step_total(self, terms: Mapping[str, Tensor]) -> Tensor | float:  # noqa: ARG002
        """What the `step_terms` add to the training loss."""
        return 0.0

    def annealed(self, step: int) -> Mapping[str, float]:  # noqa: ARG002
        """Quantities that change with the optimiser's steps, such as a temperature: columns of the epochs."""
        return {}

    def used_codes(self, parameters: Tensor) -> Tensor | None:  # noqa: ARG002
        """Which of the model's discrete codes are the most probable of an image, a bool each; None without codes."""
        return None
