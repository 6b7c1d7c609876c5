"""The models of the grid, by the name that a config gives them."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tivae.config import TrialConfig
from tivae.data.randomness import own_draws
from tivae.models.autoencoder import DeterministicAutoencoder
from tivae.models.base import Autoencoder, ImageLosses, Model, Unsupported
from tivae.models.categorical_vae import ANNEALING_INTERVAL, CategoricalVAE
from tivae.models.controls import PCA, Control, Pixels, Untrained
from tivae.models.vae import VAE

__all__ = [
    "ANNEALING_INTERVAL",
    "AUTOENCODERS",
    "CONTROLS",
    "PCA",
    "VAE",
    "Autoencoder",
    "CategoricalVAE",
    "Control",
    "DeterministicAutoencoder",
    "ImageLosses",
    "Model",
    "Pixels",
    "Unsupported",
    "Untrained",
    "build",
    "build_control",
]

AUTOENCODERS: dict[str, Callable[[TrialConfig], Autoencoder]] = {
    "vae": VAE,
    "categorical_vae": CategoricalVAE,
    "autoencoder": DeterministicAutoencoder,
}
CONTROLS: dict[str, Callable[[TrialConfig], Control]] = {"pixels": Pixels, "pca": PCA, "untrained": Untrained}


def build(config: TrialConfig) -> Autoencoder:
    """The config's autoencoder on the host, with the weights that its seed decides."""
    with own_draws():
        return AUTOENCODERS[config.model](config).to(memory_format=torch.channels_last)


def build_control(config: TrialConfig) -> Control:
    """The config's control on the host, not yet fitted."""
    with own_draws():
        return CONTROLS[config.model](config)
