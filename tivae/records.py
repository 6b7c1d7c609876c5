"""Records of stages on storage: paths, writing and reading, in one format.

    <study>/stns/<stn_key>/            record.json  stn.pt
    <study>/trainings/<training_key>/  record.json  epoch-<N>.pt for each epoch N that was read out
    <study>/trials/<key>/              record.json  model.pt  stn.pt  predictions.pt  encodings.pt  measures.json

and, until they are done, checkpoint.pt and checkpoint.previous.pt (STNs and trainings) and running.json (trials).

`record.json` is written last: where it exists the work has ended, well or not. Tensors load with `weights_only=True`.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from tivae.config import RECIPE, TrialConfig
from tivae.evaluation.measures import wanted_of
from tivae.experiment import TrialResult
from tivae.io import checkpoint, files, record, sealed_json
from tivae.io.files import DamagedFile
from tivae.io.provenance import Stopwatch
from tivae.io.record import CHECKPOINT, FIRST_RECIPE, FORMAT, RECORD, RUNNING, Record
from tivae.models import Model, build
from tivae.models.stn import SpatialTransformer, freeze
from tivae.models.stn import build as build_stn
from tivae.training.loop import EpochRow, epoch_file

MEASURES = "measures.json"
_log = logging.getLogger("tivae")


def trial_folder(study: Path, key: str) -> Path:
    """Where a trial's files are."""
    return study / "trials" / key


def training_folder(study: Path, training_key: str) -> Path:
    """Where a training's files are."""
    return study / "trainings" / training_key


def stn_folder(study: Path, stn_key: str) -> Path:
    """Where a pretrained STN's files are."""
    return study / "stns" / stn_key


def read(folder: Path, *, is_own: bool = True) -> Record | None:
    """The record in `folder`; None if there is none, or, with a warning that names it, none that can be used.

    is_own: as in `io.record.read`. Raises `NewerRecord`.
    """
    try:
        return record.read(folder, is_own=is_own)
    except DamagedFile as error:
        warn_once(f"{error}; it counts as missing")
        return None
    except FileNotFoundError:
        return None


def finished(folder: Path) -> Record | None:
    """The record in `folder` where its work has finished; None if `read` has none, or one of other work."""
    found = read(folder)
    return found if found is not None and found["status"] == "finished" else None


def finished_trial(config: TrialConfig, study: Path, measures: str = "none") -> Record | None:
    """The record of a finished trial that has at least these measures and no damaged file; None if it is to be made.

    Files that are gone were left out to save room, as in a published copy.
    """
    folder = trial_folder(study, config.key)
    known = finished(folder)
    if known is None or not wanted_of(config, measures).keys() <= set(known.get("measures", ())):
        return None
    damaged = [path for path in [*sorted(folder.glob("*.pt")), *folder.glob(MEASURES)] if not _is_whole(path)]
    return None if damaged else known


def trained_state(config: TrialConfig, study: Path) -> dict[str, Any] | None:
    """What the config's training left after its epochs; None, with a warning that says why, where it is to be made."""
    assert config.training_key is not None
    path = epoch_file(training_folder(study, config.training_key) / CHECKPOINT, config.epochs)
    try:
        state = checkpoint.load(path)
        found = state["key"], len(state["rows"])
    except FileNotFoundError:
        return None
    except (DamagedFile, KeyError, TypeError) as error:
        warn_once(f"{path} is not used ({error}); it is made again")
        return None
    if found != (config.training_key, config.epochs):
        warn_once(f"{path} is of the training {found[0]}, epoch {found[1]}; it is made again")
        return None
    return state


def trained_epochs(study: Path, training_key: str, most: float = math.inf) -> int:
    """The most epochs, up to `most`, after which a state of the training stays, by the names of its files; or 0."""
    folder = training_folder(study, training_key)
    kept = [int(path.stem.removeprefix("epoch-")) for path in folder.glob("epoch-*.pt")]
    return max((epochs for epochs in kept if epochs <= most), default=0)


def finished_stn(study: Path, key: str) -> Record | None:
    """The record of the pretrained STN `key` where its weights are there and whole; None if it is to be made."""
    folder = stn_folder(study, key)
    known = finished(folder)
    weights = folder / "stn.pt"
    return known if known is not None and weights.exists() and _is_whole(weights) else None


def write(folder: Path, result: TrialResult) -> Record:
    """Writes all files of a finished trial, the record last, and returns the record."""
    checkpoint.save(folder / "model.pt", result.model.state_dict())
    if result.stn is not None:
        checkpoint.save(folder / "stn.pt", result.stn.state_dict())
    checkpoint.save(folder / "predictions.pt", result.predictions)
    checkpoint.save(folder / "encodings.pt", result.encodings)
    if result.measures is not None:
        _write_json(folder / MEASURES, result.measures)
    content = (result.metrics, result.epochs, result.provenance)
    return write_record(folder, "trial", result.config, *content, measures=result.measured)


def write_running(config: TrialConfig, study: Path) -> None:
    """Notes that the trial has begun, with its config: what `analysis.load(running=True)` shows."""
    content = {"format": FORMAT, "recipe": RECIPE, "kind": "trial", "key": config.key, "config": config.to_dict()}
    _write_json(trial_folder(study, config.key) / RUNNING, content | {"training_key": config.training_key})


def begun(trial: Path) -> Record | None:
    """What is known of a trial that has no record: as one with the status "running", its config and epochs so far.

    None if it has not begun. The config is empty where nothing can be read of it.
    """
    content: Record = {"status": "running", "error": None, "recipe": None, "config": {}, "metrics": {}, "epochs": []}
    content["provenance"] = {}
    try:
        if (trial / RUNNING).is_file():
            known = sealed_json.parse(files.read(trial / RUNNING), trial / RUNNING)
            rows = epochs_so_far(TrialConfig.from_dict(known["config"]), trial.parent.parent)
        elif (trial / CHECKPOINT).is_file():
            # Before trainings had folders of their own.
            known = {"recipe": FIRST_RECIPE} | checkpoint.load(trial / CHECKPOINT)
            rows = known.get("rows", [])
        else:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return content
    return content | {"recipe": known.get("recipe"), "config": known.get("config", {}), "epochs": rows}


def write_unfinished(
    config: TrialConfig, study: Path, status: str, error: str | None = None, origin: Mapping[str, Any] | None = None
) -> Record:
    """The record, now written, of a trial that has no result, with the epochs of its training so far.

    status: "failed", with the reason, or "pruned" by a search; the same trial asked for by a grid continues.
    origin: its provenance, where it is known.
    """
    known = dict(origin) if origin is not None else Stopwatch("cpu", "unknown").provenance()
    folder, epochs = trial_folder(study, config.key), epochs_so_far(config, study)
    return write_record(folder, "trial", config, {}, epochs, known, status=status, error=error)


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
    """Whether the file is as it was written; one that is damaged is named, one that is gone since is not."""
    try:
        of = path.lstat()
    except FileNotFoundError:
        return True
    return _is_whole_as_of(path, (of.st_mtime_ns, of.st_ctime_ns, of.st_size, of.st_ino))


# A run plans more than once, and a study of a thousand trials has gigabytes.
@functools.lru_cache(maxsize=100_000)
def _is_whole_as_of(path: Path, _: tuple[int, ...]) -> bool:
    try:
        sealed_json.parse(files.read(path), path) if path.suffix == ".json" else checkpoint.check(path)
    except (DamagedFile, OSError) as error:
        warn_once(f"{error}; it is made again")
        return False
    return True


def _load_weights(module: nn.Module, path: Path) -> None:
    content = checkpoint.load(path)
    try:
        module.load_state_dict(content)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise DamagedFile(f"{path} does not hold the weights of its config") from error


def epochs_so_far(config: TrialConfig, study: Path) -> list[EpochRow]:
    """The rows of the config's epochs that its training has done, as far as its checkpoints tell."""
    if config.training_key is None:
        return []
    file = training_folder(study, config.training_key) / CHECKPOINT
    kept = epoch_file(file, trained_epochs(study, config.training_key, config.epochs))
    for path in (epoch_file(file, config.epochs), file, checkpoint.previous(file), kept):
        try:
            return list(checkpoint.load(path)["rows"])[: config.epochs]
        except (FileNotFoundError, DamagedFile, KeyError):
            continue
    return []


def write_record(
    folder: Path,
    stage: str,
    config: TrialConfig,
    metrics: Mapping[str, Any],
    epochs: list[EpochRow],
    origin: Mapping[str, Any],
    *,
    status: str = "finished",
    error: str | None = None,
    measures: Sequence[str] | None = None,
) -> Record:
    """Writes the record of a stage (stn, training or trial) and returns it.

    measures: the names of a finished trial's measures of invariance.
    """
    content = {
        "format": FORMAT,
        "recipe": RECIPE,
        "kind": stage,
        "key": {"stn": config.stn_key, "training": config.training_key, "trial": config.key}[stage],
        "status": status,
        "error": error,
        "config": config.to_dict(),
        "metrics": metrics,
        "epochs": epochs,
        "provenance": origin,
    }
    written = _write_json(folder / RECORD, content if measures is None else content | {"measures": list(measures)})
    (folder / RUNNING).unlink(missing_ok=True)
    return written


def _write_json(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Writes `content`, atomically, and returns it as it was written."""
    plain: dict[str, Any] = _plain(content)
    sealed_json.write(path, plain)
    return plain


@functools.cache
def warn_once(message: str) -> None:
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
