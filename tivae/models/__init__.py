"""The models, by the name that a config gives them; each is a module of one of the folders here."""

from __future__ import annotations

import torch

from tivae.config import TrialConfig
from tivae.data.randomness import own_draws
from tivae.models.base import Given, ImageLosses, Model, Trainable, Unsupported
from tivae.models.control import Control
from tivae.registry import MODELS

__all__ = ["MODELS", "Control", "Given", "ImageLosses", "Model", "Trainable", "Unsupported", "build", "build_trainable"]


def build(config: TrialConfig) -> Model:
    """The config's model on the host, with the weights that its seed decides; a control is not yet fitted."""
    with own_draws():
        model = MODELS[config.model](config)
    return model.to(memory_format=torch.channels_last) if model.is_trained else model


def build_trainable(config: TrialConfig) -> Trainable:
    """The config's model, one that is trained, as `build` makes it."""
    model = build(config)
    assert isinstance(model, Trainable)
    return model
