"""The columns of the `trials` and `epochs` frames: name, dtype, unit and meaning, written down once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pandas as pd

from tivae.config import TrialConfig


@dataclass(frozen=True)
class Column:
    """One column. `dtype` is the pandas dtype, one of `string`, `Int64`, `float64`, `boolean`."""

    name: str
    dtype: str
    unit: str
    meaning: str


def _config_columns() -> tuple[Column, ...]:
    """One column per field of `TrialConfig`, in its order, so that a new field needs no second entry here."""
    return tuple(
        Column(item.name, _config_dtype(item), CONFIG_UNITS.get(item.name, ""), item.metadata["help"])
        for item in dataclasses.fields(TrialConfig)
    )


def _config_dtype(item: dataclasses.Field) -> str:
    for annotation, dtype in (("int", "Int64"), ("float", "float64"), ("bool", "boolean")):
        if str(item.type).startswith(annotation):
            return dtype
    return "string"


CONFIG_UNITS = {
    "train_images": "images",
    "test_images": "images",
    "rotation_degrees": "degrees",
    "shift_pixels": "pixels",
    "scale_range": "share",
    "warp_probability": "share",
    "hidden_widths": "channels, as 32-64-128",
    "epochs": "epochs",
    "batch_size": "images",
    "annealing_rate": "per step",
    "stn_epochs": "epochs",
}

IDENTITY = (
    Column("study", "string", "", "folder of results the row was read from"),
    Column("key", "string", "", "names the trial by its config (`TrialConfig.key`)"),
    Column("status", "string", "", "finished, failed, damaged (unreadable record) or running"),
    Column("error", "string", "", "one line where the trial failed or its record is damaged"),
)

CONFIG = _config_columns()

_TEST_SETS = ("base", "augmented")

_PIXELS = "squared standard deviations per pixel"


def _accuracy(test_set: str) -> Column:
    return Column(
        f"{test_set}_accuracy", "float64", "share", f"{test_set} test images that the probe classifies rightly"
    )


def _losses(part: str) -> tuple[Column, ...]:
    return (
        Column(f"{part}_loss", "float64", "", f"weighted loss on the {part} images"),
        Column(f"{part}_reconstruction", "float64", _PIXELS, f"mean squared error on the {part} images"),
        Column(f"{part}_kl", "float64", "nats per image", f"KL divergence on the {part} images"),
    )


def _accuracy_fit(test_set: str, fit: str) -> Column:
    meaning = f"{test_set} accuracy of the probe fitted on {fit} training images"
    return Column(f"{test_set}_accuracy_fit_{fit}", "float64", "share", meaning)


_TEST_SETS = ("base", "augmented")

METRICS = (
    *(_accuracy(test_set) for test_set in _TEST_SETS),
    # train_*: means over the last epoch, base_* and augmented_*: of the test images after it.
    *(column for part in (*_TEST_SETS, "train") for column in _losses(part)),
    *(_accuracy_fit(test_set, fit) for fit in _TEST_SETS for test_set in _TEST_SETS),
    Column("probe_iterations", "Int64", "iterations", "of the probe's solver, the largest of the fits"),
    Column("probe_converged", "boolean", "", "whether every fit of the probe converged"),
)

PROVENANCE = (
    Column("device", "string", "", "cpu, cuda or mps"),
    Column("device_name", "string", "", "the device's own name"),
    Column("host", "string", "", "machine the trial ran on"),
    Column("platform", "string", "", "operating system and architecture"),
    Column("threads", "Int64", "threads", "of torch"),
    Column("python", "string", "", "version"),
    Column("torch", "string", "", "version"),
    Column("torchvision", "string", "", "version"),
    Column("numpy", "string", "", "version"),
    Column("scikit_learn", "string", "", "version"),
    Column("commit", "string", "", "of the repository"),
    Column("started_at", "string", "ISO 8601, UTC", "start of the trial"),
    Column("finished_at", "string", "ISO 8601, UTC", "end of the trial"),
    Column("wall_seconds", "float64", "seconds", "the trial's running time"),
    Column("data_source", "string", "", "where the images came from"),
    Column("resumed", "Int64", "times", "how often it was interrupted and resumed"),
)

TRIAL_COLUMNS = (*IDENTITY, *CONFIG, *METRICS, *PROVENANCE)

EPOCH_COLUMNS = (
    Column("study", "string", "", "folder of results the row was read from"),
    Column("key", "string", "", "the trial, as in `trials`"),
    Column("epoch", "Int64", "", "counted from 1"),
    Column("step", "Int64", "steps", "optimiser steps so far"),
    Column("temperature", "float64", "", "of the Gumbel-softmax at the end of the epoch"),
    Column("learning_rate", "float64", "", "of AdamW in this epoch"),
    *(column for part in ("train", *_TEST_SETS) for column in _losses(part)),
    Column("wall_seconds", "float64", "seconds", "running time of this epoch"),
    Column("images_per_second", "float64", "images/s", "training images over the time of training on them"),
)

COLUMNS = {"trials": TRIAL_COLUMNS, "epochs": EPOCH_COLUMNS}

CONFIG_NAMES = tuple(column.name for column in CONFIG)
METRIC_NAMES = tuple(column.name for column in METRICS)


def columns_frame(frame: str = "trials") -> pd.DataFrame:
    """What the `trials` or `epochs` frame holds: a row per column with name, dtype, unit and meaning."""
    return pd.DataFrame([dataclasses.asdict(column) for column in COLUMNS[frame]])


def columns_markdown(frame: str = "trials") -> str:
    """The same as a Markdown table."""
    lines = ["| column | dtype | unit | meaning |", "|---|---|---|---|"]
    lines += [f"| `{c.name}` | {c.dtype} | {c.unit} | {c.meaning} |" for c in COLUMNS[frame]]
    return "\n".join(lines) + "\n"
