"""The columns of the `trials` and `epochs` frames: name, dtype, unit and meaning, written down once."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd

from analysis.frames.metric_columns import METRICS, PIXELS, TEST_SETS, TIMESTAMP, Column, losses, number
from tivae.config import known_fields
from tivae.registry import MODELS


def _config_dtype(item: dataclasses.Field[Any]) -> str:
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
    Column("status", "string", "", "finished, failed, pruned (by a search), damaged (unreadable record) or running"),
    Column("recipe", "Int64", "", "of the code that computed it; numbers of two recipes are not compared"),
    Column("error", "string", "", "one line where the trial failed or its record is damaged"),
)

CONFIG = tuple(
    Column(item.name, _config_dtype(item), CONFIG_UNITS.get(item.name, ""), item.metadata["help"])
    for item in known_fields().values()
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
    Column("kernels", "string", "", "of the convolutions: native (compiled on the spot), torch, compiled (on a GPU)"),
    Column("commit", "string", "", "of the repository"),
    Column("started_at", TIMESTAMP, "UTC", "start of the trial"),
    Column("finished_at", TIMESTAMP, "UTC", "end of the trial"),
    Column("wall_seconds", "float64", "seconds", "running time of the training up to its epoch and of the readout"),
    Column("data_source", "string", "", "where the images came from"),
    Column("resumed", "Int64", "times", "how often it was interrupted and resumed"),
    Column("training_key", "string", "", "names the training: trials that share it were trained once"),
    Column("training_seconds", "float64", "seconds", "of `wall_seconds`, those of the training up to its epoch"),
)

TRIAL_COLUMNS = (*IDENTITY, *CONFIG, *METRICS, *PROVENANCE)

EPOCH_COLUMNS = (
    Column("study", "string", "", "folder of results the row was read from"),
    Column("key", "string", "", "the trial, as in `trials`"),
    Column("epoch", "Int64", "", "counted from 1"),
    Column("step", "Int64", "steps", "optimiser steps so far"),
    Column("temperature", "float64", "", "of the Gumbel-softmax at the end of the epoch"),
    Column("learning_rate", "float64", "", "of AdamW in this epoch"),
    *(column for part in ("train", *TEST_SETS) for column in losses(part)),
    number("train_consistency", "distance between the encodings of two views of an image"),
    number("train_alignment", "joint STN: squared error augmented -> base", PIXELS),
    *(number(f"validation_{test}_loss", f"weighted loss on the {test} validation images") for test in TEST_SETS),
    Column("wall_seconds", "float64", "seconds", "running time of this epoch"),
    Column("images_per_second", "float64", "images/s", "training images over the time of training on them"),
)

COLUMNS = {"trials": TRIAL_COLUMNS, "epochs": EPOCH_COLUMNS}

CONFIG_NAMES = tuple(column.name for column in CONFIG)
METRIC_NAMES = tuple(column.name for column in METRICS)


def config_names(frame: pd.DataFrame) -> list[str]:
    """The columns of `frame` that are fields of configs; those of models and probes from elsewhere come last."""
    return [name for name in dict.fromkeys((*CONFIG_NAMES, *known_fields())) if name in frame.columns]


def columns_frame(frame: str = "trials") -> pd.DataFrame:
    """The columns of the `trials` or `epochs` frame: a row per column with name, dtype, unit and meaning.

    With the loss terms of all models that this process knows, which a frame has where a trial of theirs is in it.
    """
    return pd.DataFrame([dataclasses.asdict(column) for column in _documented(frame)])


def columns_markdown(frame: str = "trials") -> str:
    """The same as a Markdown table."""
    lines = ["| column | dtype | unit | meaning |", "|---|---|---|---|"]
    lines += [f"| `{c.name}` | {c.dtype} | {c.unit} | {c.meaning} |" for c in _documented(frame)]
    return "\n".join(lines) + "\n"


def _documented(frame: str) -> list[Column]:
    known = {column.name: column for column in COLUMNS[frame]}
    for entry in MODELS.loaded.values():
        for term in (*getattr(entry, "loss_terms", ()), *getattr(entry, "step_terms", ())):
            name = f"train_{term.name}"
            known.setdefault(name, number(name, f"loss term of {entry.label}: {term.meaning}", term.unit))
    return list(known.values())
