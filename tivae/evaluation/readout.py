"""The readout of a trained model: encodings, probes, predictions and their scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tivae.config import TrialConfig
from tivae.data.datasets import Dataset, TrialData
from tivae.data.randomness import generator
from tivae.evaluation import classification, losses, probe
from tivae.evaluation.memo import Memo
from tivae.evaluation.probe import Probe
from tivae.models import Model
from tivae.models.stn import SpatialTransformer

TEST_SETS = ("base", "augmented")


@dataclass(frozen=True)
class Readout:
    """metrics: accuracies and scores by column; predictions and encodings: as of `TrialResult`.

    probes: by the training encodings they are fitted on, `base`, `augmented` and, where the config asks for it, `both`.
    """

    metrics: dict[str, Any]
    predictions: dict[str, Tensor]
    encodings: dict[str, Tensor]
    probes: dict[str, Probe]


def read_out(
    config: TrialConfig, data: TrialData, model: Model, stn: SpatialTransformer | None, memo: Memo | None = None
) -> Readout:
    """Both probes (fitted on base and on augmented training encodings), each on all evaluation sets, from one pass.

    With `probe_fit` both there is a third, fitted on the base and the augmented encoding of each training image.
    memo: of other readouts of the same model, whose encodings and probes are used again.

    Raises `ValueError` where encodings are not finite, or a class to be recognised has no training image.
    """
    memo = memo or Memo()
    read = config.read
    # Configs that differ in `probe_fit` alone have the same probes.
    alike = replace(config, probe_fit="matched").key

    def encoded(images: Dataset, purpose: str) -> NDArray[np.float32]:
        return memo.get((read, purpose), lambda: encode(config, data, model, images, stn, purpose).numpy())

    def fitted(name: str, seen: Callable[[], NDArray[np.float32]], labels: NDArray[np.int64]) -> Probe:
        return memo.get((read, name, alike), lambda: probe.fit(seen(), labels, config))

    sets = data.evaluation_sets().items()
    encodings = {name: encoded(images, f"{name} encodings") for name, images in sets}
    _check_classes(data)
    training = {"base": data.base_train(), "augmented": data.augmented_train("probe warps")}

    def of_training(*names: str) -> NDArray[np.float32]:
        # One batch at a time through the STN: the whole set would be kept twice.
        parts = [encoded(training[name], f"{name} training encodings") for name in names]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    probes = {name: fitted(name, partial(of_training, name), data.train_labels) for name in training}
    if config.probe_fit == "both":
        probes["both"] = fitted("both", partial(of_training, *training), np.tile(data.train_labels, len(training)))

    metrics: dict[str, Any] = {}
    for name, features in encodings.items():
        metrics |= _scores(config, name, features, data.evaluation_labels(name), probes)
    metrics["probe_iterations"] = max(fitted.iterations for fitted in probes.values())
    metrics["probe_converged"] = all(fitted.converged for fitted in probes.values())
    predictions = {"labels": torch.from_numpy(data.test_labels)}
    for test in TEST_SETS:
        predictions[test] = torch.from_numpy(probes[fitted_on(test, config)].predict(encodings[test]))
    return Readout(metrics, predictions, {test: torch.from_numpy(encodings[test]) for test in TEST_SETS}, probes)


def probed_stn(config: TrialConfig, stn: SpatialTransformer | None) -> SpatialTransformer | None:
    """The STN before the encoder as the config's probe reads it; None where it is bypassed."""
    return None if config.probe_stn == "bypassed" else stn


def encode(
    config: TrialConfig,
    data: TrialData,
    model: Model,
    images: Dataset,
    stn: SpatialTransformer | None,
    purpose: str,
) -> Tensor:
    """The features of `images` that the config's probe reads, (N, D) on the host; `purpose` names a sample's noise.

    `stn` is left out where the config says so.
    """
    assert config.probe_features is not None
    noise = None
    if config.probe_features == "sample":
        noise = model.noise(len(images), generator(config.seed, f"{purpose} noise")).to(data.device)
    seen = probed_stn(config, stn)
    return losses.features(model, images, config.probe_features, stn=seen, noise=noise, orbit=config)


def fitted_on(test: str, config: TrialConfig) -> str:
    """The training encodings that the headline probe for the test set `test` is fitted on: a key of `probes`."""
    return {"matched": test, "training": config.train_dataset}.get(config.probe_fit, config.probe_fit)


def _scores(
    config: TrialConfig, name: str, features: NDArray[np.float32], labels: NDArray[np.int64], probes: dict[str, Probe]
) -> dict[str, Any]:
    """The columns of one evaluation set; of a validation set its headline accuracy alone."""
    test_set = name.removeprefix("validation_")
    headline = probes[fitted_on(test_set, config)]
    predicted = headline.predict(features)
    metrics: dict[str, Any] = {f"{name}_accuracy": float((predicted == labels).mean())}
    if name != test_set:
        return metrics
    metrics |= {f"{name}_accuracy_fit_{fitted}": probes[fitted].accuracy(features, labels) for fitted in TEST_SETS}
    found = classification.scores(predicted, labels)
    probabilities = headline.probabilities(features)
    if probabilities is None:
        found |= {"log_loss": None, "calibration_error": None}
    else:
        columns = np.searchsorted(headline.classes, labels)
        found["log_loss"] = classification.log_loss(probabilities, columns)
        found["calibration_error"] = classification.calibration_error(probabilities, columns)
    return metrics | {f"{name}_{score}": value for score, value in found.items()}


def _check_classes(data: TrialData) -> None:
    missing = sorted(set(data.test_labels.tolist()) - set(data.train_labels.tolist()))
    if missing:
        raise ValueError(
            f"class {missing[0]} has no training image, so no probe can predict it; use more training images"
        )
