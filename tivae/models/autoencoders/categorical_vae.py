"""The categorical VAE: independent categorical variables, relaxed for training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tivae.config import ConfigError, TrialConfig
from tivae.models.base import Trainable

# Steps between two changes of the Gumbel-softmax temperature (PyTorch-VAE's anneal_interval).
ANNEALING_INTERVAL = 100


class CategoricalVAE(Trainable):
    """Independent categorical variables with a uniform prior, sampled by Gumbel-softmax (Jang et al. 2017).

    Posterior parameters (B, latent_dim, categories): logits. A latent is the flattened matrix of relaxed one-hot
    rows, softmax((logits + Gumbel noise) / temperature).
    """

    label = "categorical VAE"
    feature_names = ("logits", "probabilities", "one_hot", "sample")
    hard_features = ("one_hot", "sample")
    has_posterior = True
    relaxes = True

    def __init__(self, config: TrialConfig):
        super().__init__(config, config.encoding_dim, config.encoding_dim)

    @classmethod
    def defaults(cls, config: TrialConfig) -> Mapping[str, Any]:
        """PyTorch-VAE's; the temperature falls only where a minimum is given."""
        temperature = 0.5 if config.temperature is None else config.temperature
        return {
            "categories": 10,
            "temperature": temperature,
            "minimum_temperature": temperature,
            "annealing_rate": 3e-5,
            "reconstruction_weight": 30.0,
        }

    @classmethod
    def check(cls, config: TrialConfig) -> None:
        if config.minimum_temperature is not None and config.minimum_temperature > (config.temperature or 0):
            raise ConfigError(
                f"`minimum_temperature` is {config.minimum_temperature}; it must be at most `temperature`, "
                f"which is {config.temperature}",
                "minimum_temperature",
            )

    @classmethod
    def encoding_dim(cls, config: TrialConfig) -> int:
        return config.latent_dim * (config.categories or 1)

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior(self.encoder(images)).view(-1, *self._shape)

    def noise(self, count: int, source: torch.Generator) -> Tensor:
        """Standard Gumbel noise: minus the logarithm of a standard exponential variable."""
        exponential = torch.empty(count, *self._shape).exponential_(generator=source)
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

    def kl_parts(self, parameters: Tensor) -> Tensor:
        log_probabilities = torch.log_softmax(parameters, dim=-1)
        return math.log(self._shape[1]) + (log_probabilities.exp() * log_probabilities).sum(2)

    def kl_between(self, parameters: Tensor, others: Tensor) -> Tensor:
        """Sum over variables and categories of p log(p / q)."""
        ours, theirs = torch.log_softmax(parameters, dim=-1), torch.log_softmax(others, dim=-1)
        return (ours.exp() * (ours - theirs)).sum((1, 2))

    def sample(self, count: int, source: torch.Generator) -> Tensor:
        return self.decode(self.prior(count, source).to(self.posterior.weight.device))

    def prior(self, count: int, source: torch.Generator) -> Tensor:
        """`count` samples (count, D) of the prior, on the host."""
        variables, categories = self._shape
        codes = torch.randint(categories, (count, variables), generator=source)
        return self._one_hot(codes)

    def features(self, parameters: Tensor, name: str, noise: Tensor | None = None) -> Tensor:
        """As for every model; `sample` is one exact draw of codes, one-hot: the Gumbel-max of the logits."""
        self.check_feature(name)
        if name == "logits":
            return parameters.flatten(1)
        if name == "probabilities":
            return torch.softmax(parameters, dim=-1).flatten(1)
        if name == "one_hot":
            return self.modes(parameters)
        assert noise is not None, "a sample needs noise"
        return self.modes(parameters + noise)

    def annealed(self, step: int) -> Mapping[str, float]:
        return {"temperature": self.temperature(step)}

    def used_codes(self, parameters: Tensor) -> Tensor:
        """The classes of each variable, one after the other."""
        return self.modes(parameters).bool().any(0)

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
