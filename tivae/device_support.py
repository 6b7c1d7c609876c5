"""A trial run of a device: whether it has the operations of a trial, and computes them right."""

from __future__ import annotations

import functools
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tivae import experiment, precision
from tivae.config import ConfigError, TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images
from tivae.data.placement import place
from tivae.models import stn
from tivae.models.stn import LearntTransformer
from tivae.training.autoencoder import ModelTraining
from tivae.training.loop import Training
from tivae.training.stn_pretraining import StnTraining

# The least that a config can be cut to.
_IMAGES = 100
# Small numbers for fields that add operations where they are set and not 0.
_SMALL = {
    **{"epochs": 1, "stn_epochs": 1, "latent_dim": 8, "categories": 3, "projector_width": 8, "decoder_width": 8},
    **{"consistency_weight": 1.0, "reconstruction_weight": 1.0, "residual_blocks": 1, "orbit_warps": 2},
    **{"view_brightness": 0.5, "view_noise": 0.5, "view_erasing": 0.5},
}
# Of a gradient's length. Rounding makes 1e-5 or so of it; a wrong formula moves it as far as it is long.
GRADIENT_TOLERANCE = 0.05


class WrongGradient(ValueError):
    """A device computes another gradient than the CPU."""


def missing(
    config: TrialConfig, device: torch.device | str, *, pretraining: bool = False, measures: str = "all"
) -> str | None:
    """Why `device` can't run such a trial, or with `pretraining` pretrain such an STN, in one line; None if it can.

    A whole trial is tried on a few images of noise, with probe and `measures`, and its first gradient compared with the
    CPU's; the outcome is kept for this process. What the CPU fails at as well is not the device's fault.

    Raises what the device raises if it is full or broken (`is_to_blame`), which says nothing of the trial.
    """
    if torch.device(device).type == "cpu":
        return None
    try:
        small = _smallest(config)
    except ConfigError:
        # Of a data set with fewer images.
        return None
    return _tried(small, str(device), pretraining, measures)


def is_to_blame(device: torch.device | str, error: BaseException) -> bool:
    """Whether `error` says that the device is full, or broken for this process, and nothing of the work itself.

    After an error on a GPU everything that the process does there fails.
    """
    if torch.device(device).type == "cpu":
        return False
    return "out of memory" in str(error).lower() or not _works(device)


def release(device: torch.device | str) -> None:
    """Gives the device memory that this process holds and does not use to others."""
    place = torch.device(device).type
    if place == "cuda" and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if place == "mps":
        torch.mps.empty_cache()


def _works(device: torch.device | str) -> bool:
    try:
        return float(torch.ones(1, device=device) + 1) == 2
    # Torch itself raises an AssertionError where there is no such device.
    except (RuntimeError, AssertionError):
        return False


def _smallest(config: TrialConfig) -> TrialConfig:
    """A trial with the same operations: names and switches decide which these are, and numbers how many."""
    kept = {item.name: getattr(config, item.name) for item in fields(config)}
    values: dict[str, Any] = {name: value for name, value in kept.items() if isinstance(value, str | bool)}
    values |= {"train_images": _IMAGES, "test_images": _IMAGES}
    values |= {name: value for name, value in _SMALL.items() if kept.get(name)}
    if config.validation_images is not None:
        values |= {"train_images": _IMAGES + 10, "validation_images": 10}
    if config.hidden_widths:
        values["hidden_widths"] = (4,) * len(config.hidden_widths)
    return TrialConfig(**values)


@functools.cache
def _tried(config: TrialConfig, device: str, pretraining: bool, measures: str) -> str | None:
    try:
        _try(config, device, pretraining, measures)
    # What a backend raises for what it lacks: NotImplementedError, RuntimeError, AssertionError, TypeError ...
    except Exception as error:
        if is_to_blame(device, error) and _is_there(device):
            raise
        try:
            _try(config, "cpu", pretraining, measures)
        except Exception:
            # The trial itself will say so.
            return None
        return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return None


def _is_there(device: str) -> bool:
    backend = torch.cuda if torch.device(device).type == "cuda" else torch.backends.mps
    return bool(backend.is_available())


def _try(config: TrialConfig, device: str, pretraining: bool, measures: str) -> None:
    host = _noise(config)
    if pretraining:
        experiment.pretrain(config, host, device)
    else:
        experiment.run(config, host, device, measures=measures)
    if pretraining or config.is_trained:
        _compare(_gradients(config, host, device, pretraining), _gradients(config, host, "cpu", pretraining))


def _gradients(config: TrialConfig, host: Images, device: str, pretraining: bool) -> dict[str, Tensor]:
    """The gradient of the first batch's loss with respect to each weight, in full precision, on the host."""
    config = replace(config, precision="float32")
    data = TrialData(host, config, device)
    training: Training
    if pretraining:
        training = StnTraining(config, data)
    else:
        frozen = stn.freeze(place(stn.build(config), device)) if config.stn == "pretrained" else None
        frozen = frozen if config.front is None else experiment.fit_front(config, data)
        training = ModelTraining(config, data, frozen)
    _leave_the_identity(training)
    training.module.train()
    with precision.of("float32", device):
        loss, _ = training.loss(training.images(), torch.arange(config.batch_size, device=device), 0)
        loss.backward()
    given = training.module.named_parameters()
    return {name: weight.grad.cpu() for name, weight in given if weight.grad is not None}


def _leave_the_identity(training: Training) -> None:
    """Moves what an STN reads off the centres of pixels, on which gradients jump."""
    for part in training.module.modules():
        if isinstance(part, LearntTransformer):
            with torch.no_grad():
                part.affine.bias.add_(0.0317)


def _compare(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    whole = float(torch.stack([gradient.norm() for gradient in expected.values()]).norm())
    for name, gradient in expected.items():
        # Of a bias before a batch norm, say, nothing but rounding is left.
        length = float(gradient.norm()) + 1e-3 * whole
        off = float((found[name] - gradient).norm()) / length
        if not off <= GRADIENT_TOLERANCE:
            raise WrongGradient(f"the gradient of {name} is off by {off:.0%} of its length on the CPU")


def _noise(config: TrialConfig) -> Images:
    source = np.random.default_rng(0)
    known = config.images
    count = _IMAGES + len(known.classes)
    images = source.integers(0, 256, (count, known.size, known.size), dtype=np.uint8)
    labels = (np.arange(count) % len(known.classes)).astype(np.uint8)
    return Images(images, labels, images, labels, "noise", config.dataset)
