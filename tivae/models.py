"""The VAE and the categorical VAE: posteriors, samples, losses and the features that a probe reads."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tivae.config import TrialConfig
from tivae.networks import Decoder, Encoder
from tivae.randomness import generator, initialise

# Steps between two changes of the Gumbel-softmax temperature (PyTorch-VAE's anneal_interval).
ANNEALING_INTERVAL = 100


@dataclass(frozen=True)
class ImageLosses:
    """Losses per image, each of shape (B,).

    reconstruction: squared error averaged over pixels, in standardised units.
    kl: divergence of the posterior from the prior, summed over latents, in nats.
    """

    reconstruction: Tensor
    kl: Tensor


class Autoencoder(nn.Module, ABC):
    """An encoder to a posterior over latents, and a decoder; images are standardised (B, 1, 28, 28).

    `parameters` below is the posterior as one tensor, whose shape the model defines.
    """

    def __init__(self, config: TrialConfig, encoder_outputs: int, decoder_inputs: int):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.hidden_widths)
        self.posterior = nn.Linear(self.encoder.features, encoder_outputs)
        self.decoder = Decoder(decoder_inputs, config.hidden_widths, config.output_activation)
        initialise(self, generator(config.seed, "weights"))

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """The posterior's parameters."""

    @abstractmethod
    def noise(self, count: int, source: torch.Generator) -> Tensor:
        """Noise for `count` posterior samples, on the device of `source`."""

    @abstractmethod
    def latents(self, parameters: Tensor, noise: Tensor, step: int) -> Tensor:
        """Posterior samples (B, D), differentiable in `parameters`; `step` counts optimiser steps."""

    @abstractmethod
    def modes(self, parameters: Tensor) -> Tensor:
        """The most probable latents (B, D)."""

    @abstractmethod
    def kl(self, parameters: Tensor) -> Tensor:
        """KL(posterior || prior) per image (B,), summed over latents, in nats."""

    @abstractmethod
    def prior(self, count: int, source: torch.Generator) -> Tensor:
        """`count` samples (count, D) of the prior."""

    @abstractmethod
    def features(self, parameters: Tensor, kind: str) -> Tensor:
        """What a probe reads (B, D) from the posterior; `kind` is one of the model's `MODEL_FEATURES`."""

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 1, 28, 28) of `latents` (B, D)."""
        return self.decoder(latents)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images decoded from the most probable latents; no noise."""
        return self.decode(self.modes(self.encode(images)))

    def sample(self, count: int, source: torch.Generator) -> Tensor:
        """Images (count, 1, 28, 28) decoded from samples of the prior."""
        return self.decode(self.prior(count, source))

    def losses(self, images: Tensor, noise: Tensor, step: int) -> ImageLosses:
        """Reconstruction and KL per image, with one posterior sample each."""
        parameters = self.encode(images)
        reconstruction = self.decode(self.latents(parameters, noise, step))
        error = functional.mse_loss(reconstruction, images, reduction="none").mean(dim=(1, 2, 3))
        return ImageLosses(error, self.kl(parameters))

    def total(self, losses: ImageLosses) -> Tensor:
        """The training loss, mean over the batch: reconstruction_weight * MSE + kl_weight * KL.

        The paper's section 3.2 for the VAE; PyTorch-VAE weighs the categorical reconstruction by 30.
        """
        weight = self.config.reconstruction_weight
        assert weight is not None
        return weight * losses.reconstruction.mean() + self.config.kl_weight * losses.kl.mean()


class VAE(Autoencoder):
    """Gaussian posterior and standard normal prior (Kingma and Welling 2014).

    Posterior parameters (B, 2, latent_dim): mean and log variance.
    """

    def __init__(self, config: TrialConfig):
        super().__init__(config, 2 * config.latent_dim, config.latent_dim)

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior(self.encoder(images)).view(-1, 2, self.config.latent_dim)

    def noise(self, count: int, source: torch.Generator) -> Tensor:
        return torch.randn(count, self.config.latent_dim, generator=source, device=source.device)

    def latents(self, parameters: Tensor, noise: Tensor, step: int) -> Tensor:  # noqa: ARG002
        mean, log_variance = parameters.unbind(1)
        return mean + torch.exp(0.5 * log_variance) * noise

    def modes(self, parameters: Tensor) -> Tensor:
        return parameters[:, 0]

    def kl(self, parameters: Tensor) -> Tensor:
        """Sum over latents of (mean^2 + variance - 1 - log variance) / 2 (Kingma and Welling, appendix B)."""
        mean, log_variance = parameters.unbind(1)
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)

    def prior(self, count: int, source: torch.Generator) -> Tensor:
        return self.noise(count, source)

    def features(self, parameters: Tensor, kind: str) -> Tensor:
        if kind != "mean":
            raise ValueError(f"feature is {kind}; a vae has mean")
        return parameters[:, 0]


class CategoricalVAE(Autoencoder):
    """Independent categorical variables with a uniform prior, sampled by Gumbel-softmax (Jang et al. 2017).

    Posterior parameters (B, latent_dim, categories): logits. A latent is the flattened matrix of relaxed one-hot
    rows, softmax((logits + Gumbel noise) / temperature).
    """

    def __init__(self, config: TrialConfig):
        super().__init__(config, config.encoding_dim, config.encoding_dim)

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior(self.encoder(images)).view(-1, *self._shape)

    def noise(self, count: int, source: torch.Generator) -> Tensor:
        """Standard Gumbel noise: minus the logarithm of a standard exponential variable."""
        exponential = torch.empty(count, *self._shape, device=source.device).exponential_(generator=source)
        return -exponential.clamp_min(torch.finfo(exponential.dtype).tiny).log()

    def temperature(self, step: int) -> float:
        """max(minimum, initial * exp(-rate * step)), changed every 100 of all the trial's optimiser steps."""
        initial, minimum, rate = self._temperatures
        held = step // ANNEALING_INTERVAL * ANNEALING_INTERVAL
        return max(minimum, initial * math.exp(-rate * held))

    def latents(self, parameters: Tensor, noise: Tensor, step: int) -> Tensor:
        return torch.softmax((parameters + noise) / self.temperature(step), dim=-1).flatten(1)

    def modes(self, parameters: Tensor) -> Tensor:
        return self._one_hot(parameters.argmax(-1))

    def kl(self, parameters: Tensor) -> Tensor:
        """Sum over variables of log(categories) - entropy."""
        log_probabilities = torch.log_softmax(parameters, dim=-1)
        negative_entropy = (log_probabilities.exp() * log_probabilities).sum((1, 2))
        variables, categories = self._shape
        return variables * math.log(categories) + negative_entropy

    def prior(self, count: int, source: torch.Generator) -> Tensor:
        variables, categories = self._shape
        codes = torch.randint(categories, (count, variables), generator=source, device=source.device)
        return self._one_hot(codes)

    def features(self, parameters: Tensor, kind: str) -> Tensor:
        if kind == "logits":
            return parameters.flatten(1)
        if kind == "probabilities":
            return torch.softmax(parameters, dim=-1).flatten(1)
        if kind == "one_hot":
            return self.modes(parameters)
        raise ValueError(f"feature is {kind}; a categorical_vae has logits, probabilities and one_hot")

    @property
    def _shape(self) -> tuple[int, int]:
        assert self.config.categories is not None
        return self.config.latent_dim, self.config.categories

    @property
    def _temperatures(self) -> tuple[float, float, float]:
        config = self.config
        assert config.temperature is not None
        assert config.minimum_temperature is not None
        assert config.annealing_rate is not None
        return config.temperature, config.minimum_temperature, config.annealing_rate

    def _one_hot(self, codes: Tensor) -> Tensor:
        return functional.one_hot(codes, self._shape[1]).flatten(1).float()


MODELS: dict[str, Callable[[TrialConfig], Autoencoder]] = {"vae": VAE, "categorical_vae": CategoricalVAE}


def build(config: TrialConfig) -> Autoencoder:
    """The config's model on the host, with the weights that its seed decides."""
    return MODELS[config.model](config).to(memory_format=torch.channels_last)
