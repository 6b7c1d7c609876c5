"""One trial: train, encode, probe. A plain function of (config, data, device)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tivae import precision
from tivae.config import TrialConfig
from tivae.data.datasets import Dataset, TrialData
from tivae.data.image_set import Images
from tivae.evaluation import intermediate as intermediates
from tivae.evaluation import measures as invariance
from tivae.evaluation.readout import KINDS, read_out
from tivae.io.provenance import Stopwatch
from tivae.models import Control, Model, build
from tivae.models.networks import kernels_of
from tivae.models.stn import SpatialTransformer, freeze
from tivae.placement import place
from tivae.training import final_metrics
from tivae.training.autoencoder import ModelTraining
from tivae.training.loop import EpochRow, OnEpoch, train
from tivae.training.stn_pretraining import StnTraining

__all__ = ["KINDS", "StnResult", "TrialResult", "pretrain", "run"]


@dataclass(frozen=True)
class TrialResult:
    """What a finished trial leaves.

    metrics: final figures by name; epochs: a row per epoch; predictions: `labels`, and the headline probe's classes
    for `base` and `augmented`, each int64 (N,); encodings: of both test sets, float32 (N, D), as the probe read them.
    measures: the curves behind the measures of invariance, None where they were not asked for.
    """

    config: TrialConfig
    model: Model
    stn: SpatialTransformer | None
    metrics: dict[str, Any]
    epochs: list[EpochRow]
    predictions: dict[str, Tensor]
    encodings: dict[str, Tensor]
    provenance: dict[str, Any]
    measures: dict[str, Any] | None = None


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
    host: Images,
    device: torch.device | str = "cpu",
    *,
    stn: SpatialTransformer | None = None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
    measures: str = "standard",
    intermediate: str | None = None,
) -> TrialResult:
    """Trains the config's model and reads it out.

    The same config on the same model of device gives the same figures, interrupted or not: `checkpoint` is written
    after every epoch and continued from where it exists. stn: the config's pretrained STN; without it one is
    pretrained here first. measures: `none`, `standard` or `all` measures of invariance (`tivae.evaluation.measures`),
    which move no other metric. intermediate: one of `evaluation.intermediate.METRICS`, estimated after every epoch for
    the row that `on_epoch` is given, and kept nowhere else. Nothing but `checkpoint` is written.

    Raises `NonFiniteLoss`, and `ValueError` from the probe, from a degenerate warp and for another `measures`.
    """
    invariance.chosen(measures)
    watch = Stopwatch(device, host.source)
    data = TrialData(host, config, device)
    frozen = None
    if config.stn == "pretrained":
        frozen = freeze(place(stn or pretrain(config, host, device).stn, data.device))
    with precision.of(config.precision, device):
        if config.is_trained:
            trained = _train(config, data, frozen, checkpoint, on_epoch, intermediate)
        else:
            trained = _fit_control(config, data, frozen)
        readout = read_out(config, data, trained.model, trained.stn, trained.seen)
        measured = invariance.measure(config, data, trained.model, trained.stn, readout, measures)
    return TrialResult(
        config=config,
        model=trained.model,
        stn=trained.stn,
        metrics=trained.metrics | readout.metrics | measured.columns,
        epochs=trained.epochs,
        predictions=readout.predictions,
        encodings=readout.encodings,
        provenance=watch.provenance(trained.seconds_before, trained.resumed) | {"kernels": kernels_of(trained.model)},
        measures=measured.details,
    )


def pretrain(
    config: TrialConfig,
    host: Images,
    device: torch.device | str = "cpu",
    *,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> StnResult:
    """The STN that `config.stn_key` names, trained and frozen; `checkpoint` and `on_epoch` as for `run`."""
    watch = Stopwatch(device, host.source)
    training = StnTraining(config, TrialData(host, config, device))
    with precision.of(config.precision, device):
        train(training, checkpoint, on_epoch)
    metrics = {name: value for name, value in training.rows[-1].items() if name.endswith("_loss")}
    origin = watch.provenance(training.seconds_before, training.resumed)
    return StnResult(config, freeze(training.stn), metrics, training.rows, origin)


@dataclass(frozen=True)
class _Trained:
    """seen: the sets that have been computed as they come to the model; see `readout.read_out`."""

    model: Model
    stn: SpatialTransformer | None
    metrics: dict[str, Any]
    epochs: list[EpochRow]
    seen: dict[str, Dataset]
    seconds_before: float = 0.0
    resumed: int = 0


def _train(
    config: TrialConfig,
    data: TrialData,
    frozen: SpatialTransformer | None,
    checkpoint: Path | None,
    on_epoch: OnEpoch | None,
    intermediate: str | None,
) -> _Trained:
    training = ModelTraining(config, data, frozen)

    def with_intermediate(row: EpochRow) -> None:
        assert on_epoch is not None
        if intermediate is not None:
            row = row | {intermediate: intermediates.accuracy(config, data, training.model, training.stn, intermediate)}
        on_epoch(row)

    train(training, checkpoint, with_intermediate if on_epoch is not None else None)
    last = training.rows[-1].items()
    kept = ("_loss", "_reconstruction", "_kl", *(f"_{term.name}" for term in training.model.loss_terms))
    metrics = {name: value for name, value in last if name.endswith(kept)}
    metrics |= {name: value for name, value in last if name in ("train_consistency", "train_alignment")}
    metrics |= final_metrics.of_training(training, data)
    stn = None if training.stn is None else freeze(training.stn)
    return _Trained(
        training.model, stn, metrics, training.rows, training.seen, training.seconds_before, training.resumed
    )


def _fit_control(config: TrialConfig, data: TrialData, frozen: SpatialTransformer | None) -> _Trained:
    model = build(config).to(data.device).eval()
    assert isinstance(model, Control)
    images = data.augmented_train("training warps") if config.train_dataset == "augmented" else data.base_train()
    model.fit(images.behind(frozen))
    seen = {name: images.behind(frozen) for name, images in data.evaluation_sets().items()}
    return _Trained(model, frozen, final_metrics.of_control(model, frozen, data, seen), [], seen)
