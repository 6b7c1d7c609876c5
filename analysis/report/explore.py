"""Data of the page's explorer: each trial's settings, metrics, curves, confusion matrices and images, as plain JSON.

Columns are lists with a value for each trial, so that a thousand trials stay within a few megabytes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from analysis.figures.drawing import image_grids
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.figures.images import reconstructions
from analysis.frames.columns import COLUMNS, CONFIG_NAMES, METRIC_NAMES
from analysis.frames.image_sets import image_set_of
from analysis.frames.labels import cell_label, setting_name
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.search import objectives_of
from analysis.frames.study import Study
from analysis.frames.trial import Trial
from analysis.reproduce import command_of

# Trials whose reconstructions are shown, the best first: each takes about 12 kB.
MOST_PICTURED = 100
# Epochs of a trial's curves, evenly chosen where there are more.
MOST_EPOCHS = 60
CURVES = ("train_loss", "base_loss", "augmented_loss")
SHOWN_METRICS = ("base_accuracy", "augmented_accuracy")
JPEG_QUALITY = 85

Pictures = dict[str, str | None]


def content(study: Study, pictures: Pictures | None = None) -> dict[str, Any]:
    """The data of the explorer. pictures: known images by key, to which those made now are added; None for none."""
    trials = study.trials.reset_index(drop=True)
    goals = list(objectives_of(study))
    varying = study.factors()
    factors = [*varying, "seed"]
    metrics = [name for name in METRIC_NAMES if name in trials and trials[name].notna().any()]
    settings = [name for name in CONFIG_NAMES if name != "dataset_facts"]
    varied = [name for name in settings if len(trials[name].unique()) > 1]
    named = list(dict.fromkeys(["key", "status", *factors, *varied, *metrics, "wall_seconds", "device", "error"]))
    shared = {} if trials.empty else {n: _plain(trials[n].iloc[0]) for n in settings if n not in varied}
    scores = [name for name in (*goals, *SHOWN_METRICS) if name in metrics]
    return {
        "columns": {name: [_plain(value) for value in trials[name]] for name in named if name in trials},
        "titles": {name: setting_name(name) for name in named} | {name: setting_name(name) for name in settings},
        "labels": [cell_label(row, varying) if pd.notna(row["model"]) else "" for _, row in trials.iterrows()],
        "shares": [column.name for column in COLUMNS["trials"] if column.unit == "share" and column.name in metrics],
        "factors": factors,
        "metrics": metrics,
        "scores": scores or metrics[:2],
        "goals": goals,
        "shared": {name: value for name, value in shared.items() if value is not None},
        "curves": _curves(study.epochs),
        "confusion": dict(filter(None, map(_confusion, _trials(study)))),
        "classes": _class_names(study),
        "commands": [command_of(study, key) for key in trials["key"]],
        "pictures": {} if pictures is None else _pictures(study, pictures),
    }


def _trials(study: Study) -> Iterable[Trial]:
    return map(study.trial, study.finished["key"])


def _plain(value: Any) -> Any:
    """A value as JSON has it, to five digits."""
    if value is None or pd.isna(value):
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.5g}") if np.isfinite(value) else None
    return int(value) if isinstance(value, int | np.integer) else str(value)


def _curves(epochs: pd.DataFrame) -> dict[str, dict[str, list[Any]]]:
    curves = {}
    for key, rows in epochs.groupby("key", sort=False):
        step = -(-len(rows) // MOST_EPOCHS)
        chosen = rows.sort_values("epoch").iloc[::-1].iloc[::step].iloc[::-1]
        present = [name for name in CURVES if chosen[name].notna().any()]
        curves[str(key)] = {name: [_plain(value) for value in chosen[name]] for name in ("epoch", *present)}
    return curves


def _confusion(trial: Trial) -> tuple[str, dict[str, list[list[int]]]] | None:
    try:
        predictions = trial.predictions()
    except (ValueError, OSError):
        return None
    size = 1 + int(predictions.drop(columns="image").max().max())
    matrices = {}
    for test_set in TEST_SETS:
        pairs = predictions["label"] * size + predictions[test_set]
        matrices[test_set] = np.bincount(pairs, minlength=size**2).reshape(size, size).tolist()
    return trial.key, matrices


def _class_names(study: Study) -> dict[str, list[str]]:
    """The classes of each data set of the study, by its name."""
    rows = study.finished.drop_duplicates("dataset")
    return {images.name: list(images.classes) for _, row in rows.iterrows() for images in [image_set_of(row)]}


def _pictures(study: Study, known: Pictures) -> dict[str, str]:
    """Base and augmented images, and below each what the trial makes of it, of the best trials that can be read."""
    sources = Sources(study)
    best = study.finished.sort_values("augmented_accuracy", ascending=False, kind="stable")["key"].head(MOST_PICTURED)
    for trial in (study.trial(key) for key in best if key not in known):
        try:
            frame = reconstructions.numbers(sources.images(trial.config), {"output": trial.model()})
            known[trial.key] = _strip(image_grids.pixels_of(frame), frame["class"].nunique())
        # A control has no decoder; a published copy no weights.
        except (ValueError, OSError, NotSupported, AttributeError):
            known[trial.key] = None
    return {key: picture for key in best if (picture := known.get(key)) is not None}


def _strip(images: np.ndarray, columns: int) -> str:
    """Images (N, H, W) uint8 in rows of `columns`, as the data of a JPEG."""
    count, height, width = images.shape
    rows = images.reshape(count // columns, columns, height, width).swapaxes(1, 2)
    buffer = io.BytesIO()
    Image.fromarray(rows.reshape(-1, columns * width)).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
