"""Table 1 for a terminal: in %, and within its width."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from analysis.formats import Table
from analysis.frames.study import Study
from analysis.paper import STN_NAMES
from analysis.tables.table1 import TITLE, Source, controls_frame, paper_table, table1

# What a terminal has at least; narrower ones get the augmented test set alone.
WIDTH, NARROW = 79, 60
# Short forms: the full words take a third of the line.
MODELS = {"vae": "VAE", "categorical_vae": "cat. VAE"}


def table1_terminal(source: Study | pd.DataFrame, width: int = WIDTH) -> str:
    """Table 1 beside the paper's as text: accuracies in %, losses below, controls, and the notes of the whole table."""
    frame = table1(source)
    test_sets = ("base", "augmented") if width >= NARROW else ("augmented",)
    blocks = [
        ("Accuracy (%)", _block(frame, "accuracy", test_sets, with_difference=True)),
        ("Test loss (weighted)", _block(frame, "loss", test_sets, with_difference=False)),
    ]
    controls = _controls(source, test_sets)
    if controls is not None:
        blocks.insert(1, ("Accuracy of controls (%), which learn no encoding", controls))
    words = {("", "trained on"), ("", "model"), ("", "STN"), "control"}
    shown = tuple((heading, block, [name for name in block if name not in words]) for heading, block in blocks)
    title = TITLE if width >= len(TITLE) else "Table 1. Ours beside the paper's"
    return Table(title, shown, paper_table(source).notes).text(max(width, 40))


def _block(frame: pd.DataFrame, kind: str, test_sets: Sequence[str], *, with_difference: bool) -> pd.DataFrame:
    columns: dict[tuple[str, str], Sequence[str | None]] = {
        ("", "trained on"): frame["train_dataset"].tolist(),
        ("", "model"): frame["model"].map(MODELS).tolist(),
        ("", "STN"): frame["stn"].map(STN_NAMES).tolist(),
        ("", "n"): [str(seeds) if seeds else None for seeds in frame["seeds"]],
    }
    for test_set in test_sets:
        name, group = f"{test_set}_{kind}", f"{test_set} test set"
        pairs = zip(frame[name], frame[f"{name}_sd"], strict=True)
        columns[group, "ours"] = [_number(mean, kind, sd=sd) for mean, sd in pairs]
        columns[group, "paper"] = [_number(value, kind) for value in frame[f"{name}_paper"]]
        if with_difference:
            columns[group, "diff."] = [_number(value, kind, sign="+") for value in frame[f"{name}_difference"]]
    return pd.DataFrame(columns)


def _controls(source: Source, test_sets: Sequence[str]) -> pd.DataFrame | None:
    frame = controls_frame(source)
    if frame.empty:
        return None
    columns = {"control": frame["control"].tolist(), "n": frame["n"].astype(str).tolist()}
    for test_set in test_sets:
        columns[test_set] = [_number(value, "accuracy") or "" for value in frame[f"{test_set}_accuracy"]]
    return pd.DataFrame(columns)


def _number(value: float, kind: str, sign: str = "", sd: float = math.nan) -> str | None:
    if math.isnan(value):
        return None
    scale, digits = (100.0, 1) if kind == "accuracy" else (1.0, 3 if abs(value) < 1 else 2)
    spread = "" if math.isnan(sd) else f" ±{scale * sd:.{digits}f}"
    return f"{scale * value:{sign}.{digits}f}{spread}"
