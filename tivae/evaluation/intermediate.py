"""Accuracy of a model in training, estimated after an epoch on validation images."""

from __future__ import annotations

import torch

from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.evaluation import probe
from tivae.evaluation.readout import encode, fitted_on
from tivae.models import Model
from tivae.models.stn import SpatialTransformer

# Training images that the probe is fitted on: enough to tell a trial to be pruned, a few seconds on a CPU core.
PROBE_IMAGES = 5_000

METRICS = ("validation_base_accuracy", "validation_augmented_accuracy")


@torch.no_grad()
def accuracy(config: TrialConfig, data: TrialData, model: Model, stn: SpatialTransformer | None, metric: str) -> float:
    """An estimate of `metric`, one of `METRICS`: the share of all validation images that a small probe recognises.

    It is fitted on the first 5,000 training images, as the config's `probe_fit` says (augmented ones for
    `both`), and so reads less than the final probe. The model and the STN must be in `eval()`; nothing of the training
    is changed.

    Raises `ValueError` if encodings are not finite.
    """
    name = metric.removesuffix("_accuracy")
    training_set = fitted_on(name.removeprefix("validation_"), config)
    images = data.base_train() if training_set == "base" else data.augmented_train("intermediate probe warps")
    shown = images.first(PROBE_IMAGES)
    seen = encode(config, data, model, shown, stn, "intermediate training encodings").numpy()
    labels = data.train_labels[: len(shown)]
    fitted = probe.fit(seen, labels, config)
    validation = encode(
        config, data, model, data.evaluation_sets()[name], stn, "intermediate validation encodings"
    ).numpy()
    return fitted.accuracy(validation, data.evaluation_labels(name))
