"""The VAE: a Gaussian posterior with diagonal covariance."""

from __future__ import annotations

import torch
from torch import Tensor

from tivae.config import TrialConfig
from tivae.models.base import Trainable


class VAE(Trainable):
    """Gaussian posterior and standard normal prior (Kingma and Welling 2014).

    Posterior parameters (B, 2, latent_dim): mean and log variance.
    """

    label = "VAE"
    feature_names = ("mean", "sample")
    has_posterior = True

    def __init__(self, config: TrialConfig):
        super().__init__(config, 2 * config.latent_dim, config.latent_dim)

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior(self.encoder(images)).view(-1, 2, self.config.latent_dim)

    def noise(self, count: int, source: torch.Generator) -> Tensor:
        return torch.randn(count, self.config.latent_dim, generator=source)

    def latents(self, parameters: Tensor, noise: Tensor, step: int) -> Tensor:  # noqa: ARG002
        mean, log_variance = parameters.unbind(1)
        return mean + torch.exp(0.5 * log_variance) * noise

    def modes(self, parameters: Tensor) -> Tensor:
        return parameters[:, 0]

    def kl_parts(self, parameters: Tensor) -> Tensor:
        """(mean^2 + variance - 1 - log variance) / 2 of each latent (Kingma and Welling, appendix B)."""
        mean, log_variance = parameters.unbind(1)
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)

    def kl_between(self, parameters: Tensor, others: Tensor) -> Tensor:
        """Sum over latents of (log(v2 / v1) + (v1 + (m1 - m2)^2) / v2 - 1) / 2, means m and variances v."""
        (mean, log_variance), (other_mean, other_log_variance) = parameters.unbind(1), others.unbind(1)
        difference = other_log_variance - log_variance
        moved = (mean - other_mean).square() * torch.exp(-other_log_variance)
        return 0.5 * (difference + torch.exp(-difference) + moved - 1).sum(1)

    def sample(self, count: int, source: torch.Generator) -> Tensor:
        return self.decode(self.prior(count, source).to(self.posterior.weight.device))

    def prior(self, count: int, source: torch.Generator) -> Tensor:
        """`count` samples (count, D) of the prior, on the host."""
        return self.noise(count, source)

    def features(self, parameters: Tensor, name: str, noise: Tensor | None = None) -> Tensor:
        self.check_feature(name)
        if name == "mean":
            return parameters[:, 0]
        assert noise is not None, "a sample needs noise"
        return self.latents(parameters, noise, 0)
