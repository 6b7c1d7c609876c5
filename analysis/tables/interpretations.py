"""How closely each interpretation of what the paper leaves open reproduces its Table 1."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.figures.drawing.saving import NotSupported
from analysis.formats import Table
from analysis.frames.labels import setting_name
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.recipe import Recipe, Seedless, recipe_of, shown
from analysis.frames.study import MAIN_METRICS, PAPER_FACTORS, Study
from analysis.inference import accuracy_interval
from analysis.paper import TABLE_1, PaperCell
from analysis.tables.study_table import StudyTable
from tivae.config import TrialConfig, known_fields
from tivae.data.catalogue.fashion_mnist import FASHION_MNIST

# What the paper says of a trial (sections 3.1 and 3.2); every other field is left to its reader.
STATED = (
    *(*PAPER_FACTORS, "seed", "dataset", "train_images", "test_images", "validation_images"),
    *("rotation_degrees", "shift_pixels", "scale_range", "warp_probability"),
    *("latent_dim", "categories", "kl_weight", "epochs", "learning_rate", "stn_epochs", "stn_learning_rate", "probe"),
    *("reconstruction_target", "consistency_weight", "consistency_form", "alignment_weight"),
)
OURS = "the default settings"

Interpretation = Mapping[str, Any]


def interpretations(study: Study) -> StudyTable:
    """A row per interpretation: a set of values of the fields beside `STATED` that differ from the default settings.

    Columns: `reading` (its name); `cells` of the paper that have it, and `n`, their fewest seeds; the mean distance of
    ours from the paper's values, over the cells of the VAE without an STN (`plain_vae_*`), which every interpretation
    has, and over all eight (`all_*`, missing where one lacks): `accuracy_error` in points of accuracy, `loss_error` in
    % of the paper's loss; and `accuracies_closer`, `accuracies_farther`, `losses_closer`, `losses_farther`: how many
    of the 16 accuracies or losses are closer to the paper's than those of the default settings, accuracies by more than
    half the 95 % interval over test images.

    Raises `NotSupported` where there are not two interpretations of both cells of the VAE without an STN, or the images
    are others than the paper's.
    """
    trials = study.finished
    settings = recipe_of(trials, study.seedless).settings
    shared = {name: value for name, value in settings.items() if name in STATED}
    if not Recipe(shared).is_on_papers_images:
        raise NotSupported("its images are others than the paper's")
    known = [study.seedless[key] for key in trials["key"] if key in study.seedless]
    found = [_row(trials, study.seedless, shared, interpretation) for interpretation in _interpretations(known, shared)]
    found = [row for row in found if pd.notna(row["plain_vae_loss_error"])]
    if len(found) < 2:
        raise NotSupported("there are not two interpretations of the cells of the VAE without an STN")
    ours = next((row["means"] for row in found if row["reading"] == OURS), None)
    rows = [row | _closer(row.pop("means"), ours, is_of_probe=row.pop("is_of_probe")) for row in found]
    frame = pd.DataFrame(rows).sort_values(
        ["cells", "all_accuracy_error", "plain_vae_loss_error"], ascending=[False, True, True], ignore_index=True
    )
    # Its name in published copies.
    return StudyTable("readings", frame, _table(frame, shared))


def _interpretations(configs: Sequence[TrialConfig], shared: Interpretation) -> list[Interpretation]:
    """Every set of open fields that some trial has, that of the default settings first."""
    known: dict[tuple[tuple[str, Any], ...], None] = {(): None}
    left_open = [name for name in known_fields() if name not in STATED]
    cells = filter(None, [Recipe(shared).config(cell.factors, seed=0) for cell in TABLE_1])
    for plain, config in itertools.product(cells, dict.fromkeys(configs)):
        if all(getattr(config, name) == getattr(plain, name) for name in STATED):
            pairs = ((name, getattr(config, name)) for name in left_open)
            known[tuple((name, value) for name, value in pairs if value != getattr(plain, name))] = None
    return [dict(interpretation) for interpretation in known]


def _row(
    trials: pd.DataFrame, seedless: Seedless, shared: Interpretation, interpretation: Interpretation
) -> dict[str, Any]:
    """A row of the frame, with `means` by cell of the paper, and whether it concerns the probe alone."""
    recipe = Recipe({**shared, **interpretation})
    own = {cell: recipe.trials_of(trials, cell.factors, seedless) for cell in TABLE_1}
    means = {cell: rows[list(MAIN_METRICS)].mean() for cell, rows in own.items() if len(rows)}
    row: dict[str, Any] = {
        "reading": ", ".join(f"{setting_name(name)} {shown(value)}" for name, value in interpretation.items()) or OURS,
        "cells": len(means),
        "n": min((len(rows) for rows in own.values() if len(rows)), default=0),
    }
    plain_vae = [cell for cell in TABLE_1 if cell.model == "vae" and cell.stn == "none"]
    for scope, cells in (("plain_vae", plain_vae), ("all", TABLE_1)):
        whole = all(cell in means for cell in cells)
        for quantity in _PLURALS:
            errors = [error for cell in cells for error in _errors(cell, means[cell], quantity)] if whole else []
            row[f"{scope}_{quantity}_error"] = 100 * sum(errors) / len(errors) if errors else float("nan")
    stages = {known_fields()[name].metadata["stage"] for name in interpretation}
    return row | {"means": means, "is_of_probe": stages == {"readout"}}


def _errors(cell: PaperCell, means: pd.Series, quantity: str) -> list[float]:
    """The distances from the paper on both test sets: of accuracies, or of losses relative to the paper's."""
    papers = {f"{test}_{quantity}": getattr(cell, f"{test}_{quantity}") for test in TEST_SETS}
    return [
        abs(float(means[name]) - value) / (1.0 if quantity == "accuracy" else value) for name, value in papers.items()
    ]


def _closer(
    means: Mapping[PaperCell, pd.Series], ours: Mapping[PaperCell, pd.Series] | None, *, is_of_probe: bool
) -> dict[str, Any]:
    none: dict[str, Any] = dict.fromkeys(_COUNTS, None)
    if ours is None or means is ours or len(means) < len(TABLE_1):
        return none
    # Another probe reads the same models, and leaves their losses as they are.
    touched = {name: plural for name, plural in _PLURALS.items() if name == "accuracy" or not is_of_probe}
    counts = {name: 0 for name in _COUNTS if name.startswith(tuple(touched.values()))}
    for cell, (quantity, plural) in itertools.product(means, touched.items()):
        pairs = zip(_errors(cell, ours[cell], quantity), _errors(cell, means[cell], quantity), strict=True)
        for test, (before, after) in zip(TEST_SETS, pairs, strict=True):
            noise = 0.0
            if quantity == "accuracy":
                interval = accuracy_interval(getattr(cell, f"{test}_accuracy"), FASHION_MNIST.test_images)
                noise = (interval.high - interval.low) / 2
            counts[f"{plural}_closer"] += before - after > noise
            counts[f"{plural}_farther"] += after - before > noise
    return none | counts


def _table(frame: pd.DataFrame, shared: Interpretation) -> Table:
    def fixed(name: str, digits: int) -> list[str | None]:
        return [None if pd.isna(value) else f"{value:.{digits}f}" for value in frame[name]]

    columns: dict[tuple[str, str], Sequence[str | None]] = {
        ("", "reading"): frame["reading"].tolist(),
        ("", "cells"): frame["cells"].astype(str).tolist(),
        ("", "n"): frame["n"].astype(str).tolist(),
    }
    for scope, named in (("plain_vae", "VAE, no STN"), ("all", "all cells")):
        columns[named, "points"] = fixed(f"{scope}_accuracy_error", 2)
        columns[named, "loss %"] = fixed(f"{scope}_loss_error", 1)
    for plural, short in zip(_PLURALS.values(), ("acc.", "loss"), strict=True):
        pairs = zip(fixed(f"{plural}_closer", 0), fixed(f"{plural}_farther", 0), strict=True)
        columns["closer / farther", short] = [None if one is None else f"{one} / {other}" for one, other in pairs]
    notes = [
        "Distances from the paper's values, means over cells and both test sets: in points of accuracy, and in % of"
        f" the loss. Closer, farther: how many of 16 values, beside {OURS}; accuracies by more than half the 95 %"
        " interval over test images."
    ]
    notes += Recipe(shared).notes()
    texts = pd.DataFrame(columns)
    right = [name for name in texts if name != ("", "reading")]
    title = "Interpretations of what the paper leaves open"
    return Table(title, (("", texts, right),), tuple(notes), label="tab:readings")


_PLURALS = {"accuracy": "accuracies", "loss": "losses"}
_COUNTS = [f"{plural}_{way}" for plural in _PLURALS.values() for way in ("closer", "farther")]
