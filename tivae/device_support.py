"""Whether a device can run a trial, found by trying: a backend may lack an operation in any version."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import torch

from tivae.config import CONTROLS, TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images
from tivae.models import stn
from tivae.training.autoencoder import ModelTraining
from tivae.training.loop import Training
from tivae.training.stn_pretraining import StnTraining

# The least that a config can be cut to.
_IMAGES = 100


def missing(config: TrialConfig, device: torch.device | str, *, pretraining: bool = False) -> str | None:
    """Why `device` can't train such a model, or with `pretraining` such an STN, in one line; None where it can.

    One step on a few images of noise is tried, and its outcome kept for this process: trials with the same model and
    STN use the same operations. The CPU can do everything, and controls are not trained.
    """
    if torch.device(device).type == "cpu" or (config.model in CONTROLS and not pretraining):
        return None
    return _tried(config.model, config.stn, config.consistency_weight is not None, str(device), pretraining)


@functools.cache
def _tried(model: str, spatial: str, consistent: bool, device: str, pretraining: bool) -> str | None:
    weight = 1.0 if consistent else None
    config = TrialConfig(model=model, stn=spatial, train_dataset="augmented", hidden_widths=(4, 4), latent_dim=2)
    small = replace(config, train_images=_IMAGES, test_images=_IMAGES, consistency_weight=weight)
    try:
        _one_step(small, torch.device(device), pretraining)
    # A device that is full now may have room for the trial.
    except torch.OutOfMemoryError:
        return None
    # What a backend raises for what it lacks: NotImplementedError, RuntimeError, AssertionError, TypeError ...
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
    return None


def _one_step(config: TrialConfig, device: torch.device, pretraining: bool) -> None:
    data = TrialData(_noise(config), config, device)
    training: Training
    if pretraining:
        training = StnTraining(config, data)
    else:
        frozen = stn.freeze(stn.build(config).to(device)) if config.stn == "pretrained" else None
        training = ModelTraining(config, data, frozen)
    loss, _ = training.loss(training.images(), torch.arange(8, device=device), 0)
    loss.backward()
    training.optimiser.step()
    training.module.eval()
    training.measure(1)


def _noise(config: TrialConfig) -> Images:
    source = np.random.default_rng(0)
    known = config.images
    images = source.integers(0, 256, (_IMAGES, known.size, known.size), dtype=np.uint8)
    labels = source.integers(0, len(known.classes), _IMAGES, dtype=np.uint8)
    return Images(images, labels, images, labels, "noise", config.dataset)
