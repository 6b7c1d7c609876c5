"""One trial as a plain function of (config, data, device), and its stages: train, encode, probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tivae import precision
from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images
from tivae.data.placement import place
from tivae.evaluation import measures as invariance
from tivae.evaluation.memo import SHARED_BYTES, Memo
from tivae.evaluation.readout import read_out
from tivae.io.provenance import Stopwatch
from tivae.models import Control, Model, build, build_trainable, model_input
from tivae.models.front import Front
from tivae.models.networks import kernels_of
from tivae.models.stn import SpatialTransformer, as_used, freeze
from tivae.models.stn import build as build_stn
from tivae.training import final_metrics
from tivae.training.autoencoder import ModelTraining, as_module, without_evaluation
from tivae.training.evaluation_losses import EvaluationLosses
from tivae.training.loop import EpochRow, OnEpoch
from tivae.training.loop import train as train_loop
from tivae.training.stn_pretraining import StnTraining

__all__ = [
    *("Readouts", "StnResult", "Trained", "TrialResult"),
    *("fit_control", "fit_front", "pretrain", "restored", "run", "train"),
]


@dataclass(frozen=True)
class TrialResult:
    """The result of a finished trial.

    metrics: final metrics by name; epochs: a row per epoch; predictions: `labels`, and the headline probe's classes
    for `base` and `augmented`, each int64 (N,); encodings: of both test sets, float32 (N, D), as the probe read them.
    measured: the names of its measures of invariance; measures: the curves behind them, None where there are none.
    """

    config: TrialConfig
    model: Model
    stn: SpatialTransformer | None
    metrics: dict[str, Any]
    epochs: list[EpochRow]
    predictions: dict[str, Tensor]
    encodings: dict[str, Tensor]
    provenance: dict[str, Any]
    measured: tuple[str, ...] = ()
    measures: dict[str, Any] | None = None


@dataclass(frozen=True)
class StnResult:
    """The result of a finished pretraining; fields as in `TrialResult`."""

    config: TrialConfig
    stn: SpatialTransformer
    metrics: dict[str, Any]
    epochs: list[EpochRow]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """A model after the config's epochs, or a fitted control, with what stands in front of it; ready to be read out.

    metrics: the losses of the last epoch and those taken at the end. epochs: a row for each.
    resumed: how often the training was.
    """

    model: Model
    stn: SpatialTransformer | None
    metrics: dict[str, Any]
    epochs: list[EpochRow]
    resumed: int = 0


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

    The same config on the same model of device gives the same numbers, interrupted or not: `checkpoint` is written
    after every epoch and continued from where it exists. stn: the config's pretrained STN; without it one is
    pretrained here first. measures: `none`, `standard` or `all` measures of invariance (`tivae.evaluation.measures`),
    which move no other metric. intermediate: one of `evaluation.intermediate.METRICS`, estimated after every epoch for
    the row that `on_epoch` is given, and kept nowhere else. Nothing but `checkpoint` is written.

    Raises `NonFiniteLoss`, and `ValueError` from the probe, from a degenerate warp and for another `measures`.
    """
    invariance.chosen(measures)
    data = TrialData(host, config, device)
    frozen = None
    if config.front is not None:
        frozen = fit_front(config, data)
    elif config.stn == "pretrained":
        frozen = freeze(place(stn or pretrain(config, host, device).stn, data.device))
    if config.is_trained:
        training = train(config, data, frozen, checkpoint, on_epoch, intermediate)
        trained = _closed(config, training.evaluation, frozen, training.trained_stn, training.rows, training.resumed)
    else:
        trained = fit_control(config, data, frozen)
    return Readouts(data, trained, host.source).of(config, measures)


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
        train_loop(training, checkpoint, on_epoch)
    metrics = {name: value for name, value in training.rows[-1].items() if name.endswith("_loss")}
    origin = watch.provenance(training.seconds_before, training.resumed)
    return StnResult(config, freeze(as_used(training.stn, config)), metrics, training.rows, origin)


def train(
    config: TrialConfig,
    data: TrialData,
    frozen: SpatialTransformer | None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
    intermediate: str | None = None,
    *,
    asked: Sequence[int] = (),
    keep: bool = True,
) -> ModelTraining:
    """The training that `config.training_key` names, up to the config's epochs, or the last of those `asked`.

    frozen: the config's pretrained STN. checkpoint, asked, keep: see `training.loop.train`. on_epoch, intermediate: see
    `run`. Raises `NonFiniteLoss`.
    """
    with precision.of(config.precision, data.device):
        training = ModelTraining(config, data, frozen, intermediate)
        train_loop(training, checkpoint, on_epoch, asked, keep)
    return training


def restored(config: TrialConfig, data: TrialData, frozen: SpatialTransformer | None, state: dict[str, Any]) -> Trained:
    """A training after the config's epochs, restored from `state`, as `training.loop.train` keeps it.

    Raises what a state of something else causes: `ValueError`, `KeyError`, `TypeError`, `RuntimeError`.
    """
    if state["key"] != config.training_key or len(state["rows"]) != config.epochs:
        raise ValueError(
            f"it holds epoch {len(state['rows'])} of the training {state['key']}, not epoch {config.epochs} of "
            f"{config.training_key}"
        )
    model = place(build_trainable(config), data.device)
    own = place(build_stn(config), data.device) if config.stn in ("joint", "inverse") else None
    module = as_module(model, own)
    module.load_state_dict(state["module"])
    module.eval()
    with precision.of(config.precision, data.device):
        evaluation = EvaluationLosses(config, data, model, frozen, model_input.transform_of(config.stn, own))
    rows = state["rows"]
    if state["evaluation"] != config.evaluation_key:
        rows = [without_evaluation(row) for row in rows]
    return _closed(config, evaluation, frozen, own, rows, state["resumed"])


def fit_front(config: TrialConfig, data: TrialData) -> SpatialTransformer:
    """The config's front, fitted on the base training images."""
    front = build_stn(config).to(data.device).eval()
    assert isinstance(front, Front)
    front.fit(data.base_train())
    return freeze(front)


def fit_control(config: TrialConfig, data: TrialData, frozen: SpatialTransformer | None) -> Trained:
    """The config's control, fitted on what comes through its pretrained STN or its front."""
    with precision.of(config.precision, data.device):
        model = build(config).to(data.device).eval()
        assert isinstance(model, Control)
        images = data.augmented_train("training warps") if config.train_dataset == "augmented" else data.base_train()
        model.fit(images.behind(frozen))
        seen = {name: images.behind(frozen) for name, images in data.evaluation_sets().items()}
        return Trained(model, frozen, final_metrics.of_control(model, frozen, data, seen), [])


class Readouts:
    """The readouts of one trained model: a result for each config that shares its training, epochs and images.

    source: of the images; shared: whether several configs are read out, and what they have in common is kept.
    """

    def __init__(self, data: TrialData, trained: Trained, source: str, *, shared: bool = False):
        self._data, self._trained, self._source = data, trained, source
        self._memo = Memo(SHARED_BYTES if shared else 0)

    def of(self, config: TrialConfig, measures: str) -> TrialResult:
        """The result of `config`, with the measures of this level.

        Raises `ValueError` from the probe, and from a degenerate warp.
        """
        trained, data = self._trained, self._data
        watch = Stopwatch(data.device, self._source)
        with precision.of(config.precision, data.device):
            readout = read_out(config, data, trained.model, trained.stn, self._memo)
            measured = invariance.measure(config, data, trained.model, trained.stn, readout, measures, self._memo)
        seconds = sum(row["wall_seconds"] for row in trained.epochs)
        origin = watch.provenance(seconds, trained.resumed) | {"kernels": kernels_of(trained.model)}
        return TrialResult(
            config=config,
            model=trained.model,
            stn=trained.stn,
            metrics=trained.metrics | readout.metrics | measured.columns,
            epochs=trained.epochs,
            predictions=readout.predictions,
            encodings=readout.encodings,
            provenance=origin | {"training_key": config.training_key, "training_seconds": seconds},
            measured=tuple(invariance.wanted_of(config, measures)),
            measures=measured.details,
        )


def _closed(
    config: TrialConfig,
    evaluation: EvaluationLosses,
    frozen: SpatialTransformer | None,
    own: SpatialTransformer | None,
    rows: list[EpochRow],
    resumed: int,
) -> Trained:
    """A trained model with its closing metrics; own: the STN that was trained with it."""
    stn = frozen if own is None else freeze(own)
    with precision.of(config.precision, evaluation.data.device):
        last = rows[-1]
        if "base_loss" not in last:
            last = last | evaluation.columns(last["step"])
        kept = ("_loss", "_reconstruction", "_kl", *(f"_{term.name}" for term in evaluation.model.loss_terms))
        metrics = {name: value for name, value in last.items() if name.endswith(kept)}
        of_steps = ("consistency", "alignment", *(term.name for term in evaluation.model.step_terms))
        metrics |= {name: last[name] for part in of_steps if (name := f"train_{part}") in last}
        metrics |= final_metrics.of_model(evaluation, stn, own is None, last)
    return Trained(evaluation.model, stn, metrics, [*rows[:-1], last], resumed)
