"""One trial: train, encode, probe. A plain function of (config, data, device)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tivae import evaluation, probe
from tivae.config import TrialConfig
from tivae.datasets import TrialData
from tivae.fashion_mnist import FashionMNIST
from tivae.fitting import ModelTraining
from tivae.models import Autoencoder
from tivae.pretraining import StnTraining
from tivae.provenance import Stopwatch
from tivae.stn import SpatialTransformer, freeze
from tivae.training import EpochRow, OnEpoch, train

KINDS = ("base", "augmented")


@dataclass(frozen=True)
class TrialResult:
    """What a finished trial leaves.

    metrics: final figures by name; epochs: a row per epoch; predictions: `labels`, and the headline probe's classes
    for `base` and `augmented`, each int64 (N,); encodings: of both test sets, float32 (N, D), as the probe read them.
    """

    config: TrialConfig
    model: Autoencoder
    stn: SpatialTransformer | None
    metrics: dict[str, Any]
    epochs: list[EpochRow]
    predictions: dict[str, Tensor]
    encodings: dict[str, Tensor]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class StnResult:
    """What a finished pretraining leaves; fields as of `TrialResult`."""

    config: TrialConfig
    stn: SpatialTransformer
    metrics: dict[str, Any]
    epochs: list[EpochRow]
    provenance: dict[str, Any]


def run(
    config: TrialConfig,
    host: FashionMNIST,
    device: torch.device | str = "cpu",
    *,
    stn: SpatialTransformer | None = None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrialResult:
    """Trains the config's model and reads it out.

    The same config on the same kind of device gives the same figures, interrupted or not: `checkpoint` is written
    after every epoch and continued from where it exists. stn: the config's pretrained STN; without it one is
    pretrained here first. Nothing but `checkpoint` is written.

    Raises `NonFiniteLoss` and, from the probe, `ValueError`.
    """
    watch = Stopwatch(device, host.source)
    data = TrialData(host, config, device)
    if config.stn == "pretrained":
        stn = freeze((stn or pretrain(config, host, device).stn).to(data.device))
    training = ModelTraining(config, data, stn)
    train(training, checkpoint, on_epoch)
    readout = _read_out(training, data, config)
    last = training.rows[-1].items()
    losses = {name: value for name, value in last if name.endswith(("_loss", "_reconstruction", "_kl"))}
    return TrialResult(
        config=config,
        model=training.model,
        stn=training.stn,
        metrics=losses | readout.metrics,
        epochs=training.rows,
        predictions=readout.predictions,
        encodings=readout.encodings,
        provenance=watch.provenance(training.seconds_before, training.resumed),
    )


def pretrain(
    config: TrialConfig,
    host: FashionMNIST,
    device: torch.device | str = "cpu",
    *,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> StnResult:
    """The STN that `config.stn_key` names, trained and frozen; `checkpoint` and `on_epoch` as for `run`."""
    watch = Stopwatch(device, host.source)
    training = StnTraining(config, TrialData(host, config, device))
    train(training, checkpoint, on_epoch)
    metrics = {name: value for name, value in training.rows[-1].items() if name.endswith("_loss")}
    origin = watch.provenance(training.seconds_before, training.resumed)
    return StnResult(config, freeze(training.stn), metrics, training.rows, origin)


@dataclass(frozen=True)
class _Readout:
    metrics: dict[str, Any]
    predictions: dict[str, Tensor]
    encodings: dict[str, Tensor]


def _read_out(training: ModelTraining, data: TrialData, config: TrialConfig) -> _Readout:
    """Both probes (fitted on base and on augmented training encodings), each on both test sets, from one pass."""
    assert config.probe_features is not None
    encodings = {
        name: evaluation.features(training.model, images, config.probe_features)
        for name, images in training.tests.items()
    }
    training_sets = {"base": data.base_train(), "augmented": data.augmented_train("probe warps")}
    probes = {}
    for name, images in training_sets.items():
        # One batch at a time through the STN: the whole set would be kept twice.
        seen = evaluation.features(training.model, images, config.probe_features, through=training.stn)
        probes[name] = probe.fit(seen.numpy(), data.train_labels, config.probe_regularisation)

    predicted: Mapping[tuple[str, str], NDArray[np.int64]] = {
        (test, fitted): probes[fitted].predict(encodings[test].numpy()) for test in KINDS for fitted in KINDS
    }
    accuracy = {pair: float((classes == data.test_labels).mean()) for pair, classes in predicted.items()}
    headline = {test: _fitted_on(test, config) for test in KINDS}
    metrics: dict[str, Any] = {f"{test}_accuracy": accuracy[test, headline[test]] for test in KINDS}
    metrics |= {f"{test}_accuracy_fit_{fitted}": value for (test, fitted), value in accuracy.items()}
    metrics["probe_iterations"] = max(fitted.iterations for fitted in probes.values())
    metrics["probe_converged"] = all(fitted.converged for fitted in probes.values())
    predictions = {test: torch.from_numpy(predicted[test, headline[test]]) for test in KINDS}
    return _Readout(metrics, {"labels": torch.from_numpy(data.test_labels)} | predictions, encodings)


def _fitted_on(test: str, config: TrialConfig) -> str:
    """The kind of training encodings that the headline probe for the test set `test` is fitted on."""
    return {"matched": test, "training": config.train_dataset}.get(config.probe_fit, config.probe_fit)
