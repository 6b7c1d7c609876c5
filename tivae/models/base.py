"""What all models offer: encodings for a probe; and what autoencoders offer besides: latents, images and losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tivae.config import TrialConfig
from tivae.data.randomness import generator, initialise
from tivae.models.model_input import ModelInput, plain
from tivae.models.networks import Decoder, Encoder


@dataclass(frozen=True)
class ImageLosses:
    """Losses per image, each of shape (B,).

    reconstruction: squared error averaged over pixels, in standardised units.
    kl: divergence of the posterior from the prior, summed over latents, in nats; 0 for a model without a posterior.
    """

    reconstruction: Tensor
    kl: Tensor


class Unsupported(ValueError):
    """Something was asked of a model that has it not."""


class Model(nn.Module, ABC):
    """Standardised images (B, 1, H, W), square and of the data set's size, to encodings.

    `parameters` below is what the encoder makes of the images as one tensor, whose shape the model defines.
    """

    # Whether the encoder gives a posterior over latents, which has samples and a KL.
    has_posterior = False

    def __init__(self, config: TrialConfig):
        super().__init__()
        self.config = config

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """The encoder's output, for an autoencoder the posterior's parameters."""

    @abstractmethod
    def features(self, parameters: Tensor, kind: str, noise: Tensor | None = None) -> Tensor:
        """What a probe reads (B, D) from `encode`'s output; `kind` is one of the model's `MODEL_FEATURES`.

        noise: what `sample` needs, as the model's `noise` draws it.

        Raises `Unsupported` for a kind that the model does not have.
        """

    def noise(self, count: int, source: torch.Generator) -> Tensor:  # noqa: ARG002
        """Noise for `count` posterior samples, on the host."""
        raise Unsupported(f"{self.config.model} has no posterior to sample from")

    def reconstruct(self, images: Tensor) -> Tensor:  # noqa: ARG002
        """Images (B, 1, H, W) decoded from the most probable latents; no noise."""
        raise Unsupported(f"{self.config.model} makes no reconstructions")

    def sample(self, count: int, source: torch.Generator) -> Tensor:  # noqa: ARG002
        """Images (count, 1, H, W) decoded from samples of the prior."""
        raise Unsupported(f"{self.config.model} has no prior to sample from")

    def _no_feature(self, kind: str, *known: str) -> Unsupported:
        listed = " and ".join(filter(None, (", ".join(known[:-1]), known[-1])))
        return Unsupported(f"feature is {kind}; a {self.config.model} has {listed}")


class Autoencoder(Model):
    """An encoder to a posterior over latents, and a decoder."""

    def __init__(self, config: TrialConfig, encoder_outputs: int, decoder_inputs: int):
        super().__init__(config)
        self.encoder = Encoder(config.images.size, config.hidden_widths)
        self.posterior = nn.Linear(self.encoder.features, encoder_outputs)
        self.decoder = Decoder(decoder_inputs, config.images.size, config.hidden_widths, config.output_activation)
        initialise(self, generator(config.seed, "weights"))

    @abstractmethod
    def noise(self, count: int, source: torch.Generator) -> Tensor:
        """Noise for `count` posterior samples, on the host."""

    @abstractmethod
    def latents(self, parameters: Tensor, noise: Tensor, step: int) -> Tensor:
        """Posterior samples (B, D), differentiable in `parameters`; `step` counts optimiser steps."""

    @abstractmethod
    def modes(self, parameters: Tensor) -> Tensor:
        """The most probable latents (B, D)."""

    @abstractmethod
    def kl_parts(self, parameters: Tensor) -> Tensor:
        """KL(posterior || prior) per image and latent (B, latent_dim), in nats."""

    @abstractmethod
    def kl_between(self, parameters: Tensor, others: Tensor) -> Tensor:
        """KL(posterior || other posterior) per image (B,), summed over latents, in nats."""

    def kl(self, parameters: Tensor) -> Tensor:
        """KL(posterior || prior) per image (B,), summed over latents, in nats."""
        return self.kl_parts(parameters).sum(1)

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 1, H, W) of `latents` (B, D)."""
        return self.decoder(latents)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.modes(self.encode(images)))

    def losses(self, images: Tensor, noise: Tensor, step: int) -> ImageLosses:
        """Reconstruction of `images` themselves and KL, per image, with one posterior sample each."""
        return self.score(self.encode(images), plain(images), noise, step)

    def score(self, parameters: Tensor, view: ModelInput, noise: Tensor, step: int) -> ImageLosses:
        """Reconstruction of the view's target and KL, per image, with one sample each of posterior `parameters`."""
        error = self.errors(self.latents(parameters, noise, step), view)
        return ImageLosses(error, self.kl(parameters))

    def errors(self, latents: Tensor, view: ModelInput) -> Tensor:
        """Squared error (B,), mean over pixels, between the image of `latents` and the view's target."""
        decoded = self.decode(latents)
        restored = decoded if view.restore is None else view.restore(decoded)
        return functional.mse_loss(restored, view.target, reduction="none").mean(dim=(1, 2, 3))

    def total(self, losses: ImageLosses) -> Tensor:
        """The training loss, mean over the batch: reconstruction_weight * MSE + kl_weight * KL.

        The paper's section 3.2 for the VAE; PyTorch-VAE weighs the categorical reconstruction by 30.
        """
        weight = self.config.reconstruction_weight
        assert weight is not None
        return weight * losses.reconstruction.mean() + self.config.kl_weight * losses.kl.mean()
