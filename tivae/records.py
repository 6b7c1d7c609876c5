"""A trial's folder on storage, and the work that fills it; the same call again continues or does nothing.

    <study>/trials/<key>/    record.json  model.pt  stn.pt  predictions.pt  encodings.pt  measures.json
    <study>/stns/<stn_key>/  record.json  stn.pt

and, until they are done, checkpoint.pt and checkpoint.previous.pt in each.

`record.json` is written last: where it exists the work has ended, well or not. Tensors load with `weights_only=True`.
"""

from __future__ import annotations

import functools
import logging
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tivae import device_support, experiment
from tivae.config import RECIPE, TrialConfig
from tivae.data.image_set import Images
from tivae.experiment import TrialResult
from tivae.io import checkpoint, files, sealed_json
from tivae.io.files import DamagedFile
from tivae.io.provenance import Stopwatch
from tivae.io.record import FORMAT, check
from tivae.models import Model, build
from tivae.models.stn import SpatialTransformer, freeze
from tivae.models.stn import build as build_stn
from tivae.training.loop import EpochRow, OnEpoch

RECORD = "record.json"
CHECKPOINT = "checkpoint.pt"
MEASURES = "measures.json"
_log = logging.getLogger("tivae")


def trial_folder(study: Path, key: str) -> Path:
    """Where a trial's files are."""
    return study / "trials" / key


def stn_folder(study: Path, stn_key: str) -> Path:
    """Where a pretrained STN's files are."""
    return study / "stns" / stn_key


def read(folder: Path, *, is_own: bool = True) -> dict[str, Any] | None:
    """The record in `folder`; None where there is none, or, with a warning that names it, none that can be used.

    is_own: whether the folder must have the record's key as its name, as in a study.

    Raises `NewerRecord`.
    """
    path = folder / RECORD
    try:
        found = sealed_json.parse(files.read(path), path)
        check(found, path, key=folder.name if is_own else None)
        return found
    except DamagedFile as error:
        _warn_once(f"{error}; it counts as missing")
        return None
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn_once(f"{path} can't be read ({error.strerror}); it counts as missing")
        return None


def finished(folder: Path) -> dict[str, Any] | None:
    """The record in `folder` where its work has finished; None where `read` has none, or one of other work."""
    found = read(folder)
    return found if found is not None and found["status"] == "finished" else None


def run_trial(
    config: TrialConfig,
    host: Images,
    device: torch.device | str,
    study: Path,
    on_epoch: OnEpoch | None = None,
    *,
    measures: str = "standard",
    intermediate: str | None = None,
) -> dict[str, Any]:
    """The trial's record, computed and written unless a finished one is there.

    A finished one is left as it is, also where it has fewer `measures` (see `experiment.run`) than are asked for.
    intermediate: see `experiment.run`. An unfinished trial goes on from its last epoch. The STN is taken from the
    study's folder, and pretrained there where it is missing. Whatever a trial raises is recorded, with the reason.

    Raises `OSError` where the folder can't be written, and what a full or broken device raises, which says nothing of
    the trial.
    """
    folder = trial_folder(study, config.key)
    known = finished(folder)
    if known is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    files.clear(folder)
    watch = Stopwatch(device, host.source)
    try:
        stn = None
        if config.stn_key is not None:
            run_stn(config, host, device, study)
            stn = load_stn(config, stn_folder(study, config.stn_key))
        result = experiment.run(
            config,
            host,
            device,
            stn=stn,
            checkpoint=folder / CHECKPOINT,
            on_epoch=on_epoch,
            measures=measures,
            intermediate=intermediate,
        )
    # A failed trial must be a row with a reason, never missing, whatever it was that failed.
    except Exception as error:
        if device_support.is_to_blame(device, error):
            raise
        epochs = _epochs_so_far(folder)
        return _write_record(folder, "trial", config, {}, epochs, watch.provenance(), error=reason(error))
    return write(folder, result)


def run_stn(
    config: TrialConfig,
    host: Images,
    device: torch.device | str,
    study: Path,
    on_epoch: OnEpoch | None = None,
) -> dict[str, Any]:
    """The record of the config's pretrained STN, computed and written unless a finished one is there.

    Raises what the pretraining raises, and `OSError` where the folder can't be written.
    """
    assert config.stn_key is not None
    folder = stn_folder(study, config.stn_key)
    known = finished_stn(study, config.stn_key)
    if known is not None:
        return known
    result = experiment.pretrain(config, host, device, checkpoint=folder / CHECKPOINT, on_epoch=on_epoch)
    checkpoint.save(folder / "stn.pt", result.stn.state_dict())
    record = _write_record(folder, "stn", config, result.metrics, result.epochs, result.provenance)
    checkpoint.remove(folder / CHECKPOINT)
    return record


def finished_stn(study: Path, key: str) -> dict[str, Any] | None:
    """The record of the pretrained STN `key` where its weights are there and whole; None where it is to be made."""
    folder = stn_folder(study, key)
    known = finished(folder)
    return known if known is not None and _is_whole(folder / "stn.pt") else None


def write(folder: Path, result: TrialResult) -> dict[str, Any]:
    """Writes all files of a finished trial, the record last, and returns the record."""
    checkpoint.save(folder / "model.pt", result.model.state_dict())
    if result.stn is not None:
        checkpoint.save(folder / "stn.pt", result.stn.state_dict())
    checkpoint.save(folder / "predictions.pt", result.predictions)
    checkpoint.save(folder / "encodings.pt", result.encodings)
    if result.measures is not None:
        _write_json(folder / MEASURES, result.measures)
    record = _write_record(folder, "trial", result.config, result.metrics, result.epochs, result.provenance)
    checkpoint.remove(folder / CHECKPOINT)
    return record


def record_failure(config: TrialConfig, study: Path, error: str, data_source: str = "unknown") -> dict[str, Any]:
    """The record, now written, of a trial that could not say itself why it failed (its process died, say)."""
    folder = trial_folder(study, config.key)
    origin = Stopwatch("cpu", data_source).provenance()
    return _write_record(folder, "trial", config, {}, _epochs_so_far(folder), origin, error=error)


def record_pruned(config: TrialConfig, study: Path, data_source: str = "unknown") -> dict[str, Any]:
    """The record, now written, of a trial that a search stopped early; the same trial asked for by a grid goes on."""
    folder = trial_folder(study, config.key)
    origin = Stopwatch("cpu", data_source).provenance()
    return _write_record(folder, "trial", config, {}, _epochs_so_far(folder), origin, status="pruned")


def load_stn(config: TrialConfig, folder: Path) -> SpatialTransformer:
    """The STN whose weights are in `folder`, frozen.

    Raises `FileNotFoundError` and `DamagedFile`.
    """
    stn = build_stn(config)
    _load_weights(stn, folder / "stn.pt")
    return freeze(stn)


def load_model(config: TrialConfig, folder: Path) -> Model:
    """The model whose weights are in `folder`, in evaluation mode.

    Raises `FileNotFoundError` and `DamagedFile`.
    """
    model = build(config)
    _load_weights(model, folder / "model.pt")
    return model.eval().requires_grad_(False)


def reason(error: BaseException) -> str:
    """One line that says what went wrong."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:1000]


def _is_whole(path: Path) -> bool:
    try:
        checkpoint.load(path)
    except FileNotFoundError:
        return False
    except DamagedFile as error:
        _warn_once(f"{error}; it is made again")
        return False
    return True


def _load_weights(module: nn.Module, path: Path) -> None:
    content = checkpoint.load(path)
    try:
        module.load_state_dict(content)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise DamagedFile(f"{path} does not hold the weights of its config") from error


def _epochs_so_far(folder: Path) -> list[EpochRow]:
    for file in (folder / CHECKPOINT, checkpoint.previous(folder / CHECKPOINT)):
        try:
            return list(checkpoint.load(file)["rows"])
        except (FileNotFoundError, DamagedFile, KeyError):
            continue
    return []


def _write_record(
    folder: Path,
    kind: str,
    config: TrialConfig,
    metrics: dict[str, Any],
    epochs: list[EpochRow],
    origin: dict[str, Any],
    error: str | None = None,
    status: str = "finished",
) -> dict[str, Any]:
    record = {
        "format": FORMAT,
        "recipe": RECIPE,
        "kind": kind,
        "key": config.key if kind == "trial" else config.stn_key,
        "status": status if error is None else "failed",
        "error": error,
        "config": config.to_dict(),
        "metrics": metrics,
        "epochs": epochs,
        "provenance": origin,
    }
    return _write_json(folder / RECORD, record)


def _write_json(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Writes `content`, atomically, and returns it as it was written."""
    plain: dict[str, Any] = _plain(content)
    sealed_json.write(path, plain)
    return plain


@functools.cache
def _warn_once(message: str) -> None:
    _log.warning(message)


def _plain(value: Any) -> Any:
    """`value` for JSON, which has no NaN or infinity: they become null."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
