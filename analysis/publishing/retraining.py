"""Retraining of published trials: are their numbers those of the record, bit for bit?"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.frames.image_sets import image_set_of
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.study import Study
from analysis.frames.trial import Trial
from tivae import records, stages
from tivae.config import RECIPE, TrialConfig
from tivae.data.image_set import Images
from tivae.data.loading import load
from tivae.io import checkpoint

# What is promised to be alike is so where all of these are.
MADE_WITH = ("device", "device_name", "kernels", "threads", "torch", "numpy", "scikit_learn")
# Durations in the row of an epoch.
_TIMES = ("wall_seconds", "images_per_second")
COMPARED = (
    "all metrics, the losses of each epoch, and the class predicted for each test image; no weights are published"
)


def chosen(study: Study, count: int, seed: int) -> list[Trial]:
    """`count` of the finished trials, drawn by `seed`. Raises `ValueError` where there are fewer, or none to train."""
    keys = sorted(study.finished["key"])
    if not 1 <= count <= len(keys):
        raise ValueError(f"--retrain is {count}; it must be from 1 to {len(keys)}, the finished trials")
    trials = [study.trial(key) for key in random.Random(seed).sample(keys, count)]  # nosec B311: no secret
    for trial in trials:
        _check(trial)
    return trials


def differences(trial: Trial, device: str, data: Path | None = None) -> str | None:
    """Where the trial, trained again on `device`, differs from its record (see `COMPARED`); None where it does not.

    data: the folder with the images. Raises `DataError` where there are none.
    """
    record, config = trial.record, trial.config
    images: Images = load(image_set_of(trial.row), data)
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder)
        measures = ",".join(record.get("measures", ())) or "none"
        again = stages.run_trial(config, images, device, study, measures=measures)
        found = next(_differing(trial, record, again, study), None)
    return None if found is None else f"{found}{_on_other_machines(record['provenance'], again['provenance'])}"


def _check(trial: Trial) -> None:
    record = trial.record
    recipe = record.get("recipe", 1)
    if recipe != RECIPE:
        commit = record["provenance"].get("commit")
        raise ValueError(
            f"trial {trial.key} is of recipe {recipe}, and this version trains recipe {RECIPE}, whose numbers differ; "
            f"use --retrain with the version that made it (commit {commit})"
        )
    if TrialConfig.from_dict(record["config"]).key != trial.key:
        raise ValueError(f"trial {trial.key} has settings of another key; its record was changed")


def _differing(trial: Trial, record: Mapping[str, Any], again: Mapping[str, Any], study: Path) -> Iterator[str]:
    if again["status"] != "finished":
        yield f"it {again['status']}: {again['error']}"
        return
    yield from _values("", record["metrics"], again["metrics"])
    if len(record["epochs"]) != len(again["epochs"]):
        yield f"{len(again['epochs'])} epochs, recorded: {len(record['epochs'])}"
    for old, new in zip(record["epochs"], again["epochs"], strict=False):
        yield from _values(f"epoch {old.get('epoch')}, ", old, new)
    known = trial.predictions()
    made = checkpoint.load(records.trial_folder(study, trial.key) / "predictions.pt")
    for name in TEST_SETS:
        flipped = int((known[name].to_numpy() != made[name].numpy()).sum())
        if flipped:
            yield f"{flipped} of {len(known)} predictions of the {name} test images"


def _values(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name, value in old.items():
        if name not in _TIMES and value is not None and value != new.get(name):
            yield f"{where}{name}: {new.get(name)!r}, recorded: {value!r}"


def _on_other_machines(made: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Differences from the environment of the record, which may explain other numbers."""
    other = [
        f"{name} {made.get(name)}, here {here.get(name)}" for name in MADE_WITH if made.get(name) != here.get(name)
    ]
    if not other:
        return " (on the same model of device, kernels and versions, where numbers should be equal)"
    return f" (made with {'; '.join(other)}: numbers are promised equal only where these are)"
