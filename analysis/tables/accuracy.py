"""Accuracy of every cell, by latent size, KL weight and STN mode, of the controls, and on the Pareto front."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis import formats
from analysis.figures.drawing.representatives import finished as finished_of
from analysis.figures.drawing.saving import NotSupported
from analysis.formats import Table
from analysis.frames.cells import VALIDATION, beta, chosen_by, encoding_dim
from analysis.frames.image_sets import pixels_in_words
from analysis.frames.labels import are_ceilings, are_controls, arm_name, setting_name, stn_name
from analysis.frames.study import PAPER_FACTORS, VALUE_ORDER, Study
from analysis.inference import cell_summaries, correctness_of
from analysis.tables.study_table import StudyTable

METRICS = ("base_accuracy", "augmented_accuracy")
_HEADS = {"base_accuracy": "base (%)", "augmented_accuracy": "augmented (%)"}
_INTERVAL_NOTE = "±: half of a 95 % interval, over seeds and test images, or over test images alone where n is 1."


def every_cell(study: Study) -> StudyTable:
    """Accuracy of each cell of a study that varies more than the paper did."""
    cells = summaries(study)
    if set(study.factors()) <= set(PAPER_FACTORS):
        raise NotSupported("only the paper's factors vary, whose cells are in Table 1")
    cells = _sorted(cells, ["model", "train_dataset", "stn"])
    return _cells_table(study, "every_cell", "Accuracy of every cell", cells, [])


def latent_size(study: Study) -> StudyTable:
    """Accuracy against the numbers per image that the probe reads (latents, times classes if categorical)."""
    cells = summaries(study)
    # Without a trained model the maximum is NaN.
    if not _trained(cells).groupby("model")["encoding_dim"].nunique().max() >= 2:
        raise NotSupported("no trained model has two latent sizes")
    cells = _sorted(cells, ["model", "train_dataset", "stn", "encoding_dim"])
    return _cells_table(study, "latent_size", "Accuracy by latent size", cells, ["encoding_dim"])


def kl_weight(study: Study) -> StudyTable:
    """Accuracy against the weight of the KL, with the equivalent beta of an ELBO."""
    cells = summaries(study)
    if cells["kl_weight"].nunique() < 2:
        raise NotSupported("all finished trials have the same KL weight")
    cells = _sorted(cells, ["model", "train_dataset", "stn", "beta"])
    pixels = pixels_in_words(study.trials)
    note = f"beta = kl_weight / reconstruction_weight x {pixels} / 2: the KL's weight beside a Gaussian log-likelihood."
    return _cells_table(study, "kl_weight", "Accuracy by KL weight", cells, ["kl_weight", "beta"], [note])


def stn_mode(study: Study) -> StudyTable:
    """Accuracy by the mode of the spatial transformer."""
    cells = summaries(study)
    if set(cells["stn"]) <= {"none", "pretrained"}:
        raise NotSupported("no STN was trained otherwise than the paper's, whose cells are in Table 1 or in every cell")
    cells = _sorted(cells, ["model", "train_dataset", "stn"])
    return _cells_table(study, "stn_mode", "Accuracy by STN mode", cells, [])


def controls(study: Study) -> StudyTable:
    """Accuracy of what is not trained, such as raw pixels and PCA, and of what is trained with labels, the ceiling."""
    cells = _references(study)
    if cells.empty:
        raise NotSupported("no control (pixels, pca, hog or untrained) has finished")
    return _cells_table(study, "controls", "Controls", cells, ["encoding_dim"])


def pareto_front(study: Study) -> StudyTable:
    """Cells that no other dominates in augmented accuracy and latent size."""
    cells = _trained(summaries(study)).dropna(subset=["encoding_dim", "augmented_accuracy"])
    if cells["encoding_dim"].nunique() < 2:
        raise NotSupported("all finished trials have the same latent size")
    if set(study.factors()) <= set(PAPER_FACTORS):
        raise NotSupported("only the paper's factors vary, whose cells are in Table 1")
    ranked_by = chosen_by(cells)
    cells = cells.sort_values(["encoding_dim", ranked_by], ascending=[True, False], ignore_index=True)
    best = cells[ranked_by].cummax().shift(fill_value=-math.inf)
    front = cells[cells[ranked_by] > best]
    below = _references(study)
    chosen = (
        "validation images"
        if ranked_by == VALIDATION
        else "these test images, so that it describes them and chooses none"
    )
    notes = [f"The front is that of the cells' means on {chosen}."]
    notes += ["The controls below are not part of the front."] if len(below) else []
    shown = pd.concat([front, below], ignore_index=True)
    title = "Pareto front: augmented accuracy up, latent size down"
    return _cells_table(study, "pareto_front", title, shown, ["encoding_dim"], notes)


# Of one study every table here asks for them; a thousand trials take seconds. Callers copy before they change.
@functools.lru_cache(maxsize=2)
def summaries(study: Study) -> pd.DataFrame:
    """A row per cell: the factors, kl_weight, beta, encoding_dim, `n` seeds, of each accuracy its mean, `_sd`, `_low`
    and `_high` (95 % interval, over what `over` says), and the mean accuracy on augmented validation images.

    Raises `NotSupported` where no trial has finished.
    """
    finished = finished_of(study)
    finished = finished.assign(encoding_dim=encoding_dim(finished), beta=beta(finished))
    by = list(dict.fromkeys([*study.cell_factors(), "kl_weight", "encoding_dim", "beta"]))
    long = cell_summaries(finished, by, METRICS, scores=correctness_of(study))
    found = long.drop_duplicates(by)[[*by, "n", "over"]]
    for metric in METRICS:
        names = {"mean": metric, "sd": f"{metric}_sd", "low": f"{metric}_low", "high": f"{metric}_high"}
        part = long.loc[long["metric"] == metric, [*by, *names]]
        found = found.merge(part.rename(columns=names), on=by, how="left")
    # Its place in published tables, behind the first accuracy.
    found.insert(len(by) + 5, "over", found.pop("over"))
    validation = finished.groupby(by, dropna=False, sort=False)[VALIDATION].mean().reset_index()
    return found.merge(validation, on=by, how="left")


def _trained(cells: pd.DataFrame) -> pd.DataFrame:
    """Those that learn, and without labels."""
    return cells[~are_controls(cells["model"]) & ~are_ceilings(cells["model"])]


def _references(study: Study) -> pd.DataFrame:
    """Controls and ceilings."""
    cells = summaries(study)
    return _sorted(cells.drop(_trained(cells).index), ["model", "encoding_dim"])


def _sorted(cells: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """By these columns, words in the order in which the config lists them; controls, if any, come last."""

    def position(values: pd.Series) -> pd.Series:
        words = VALUE_ORDER.get(str(values.name))
        return values if words is None else values.map({word: number for number, word in enumerate(words)})

    return cells.sort_values(list(by), kind="stable", key=position, ignore_index=True)


def _cells_table(
    study: Study, name: str, title: str, cells: pd.DataFrame, swept: Sequence[str], notes: Sequence[str] = ()
) -> StudyTable:
    columns: dict[str, list[str | None]] = {"model": [arm_name(cell) for _, cell in cells.iterrows()]}
    columns["trained on"] = [None if pd.isna(value) else str(value) for value in cells["train_dataset"]]
    columns["STN"] = [stn_name(value) for value in cells["stn"]]
    varied = [factor for factor in study.factors() if factor not in PAPER_FACTORS]
    settings = list(dict.fromkeys([*swept, *varied]))
    for setting in settings:
        if cells[setting].notna().any():
            columns[setting_name(setting)] = [_setting(value) for value in cells[setting]]
    right = [*list(columns)[3:], "n", *_HEADS.values()]
    columns["n"] = [str(n) for n in cells["n"]]
    for metric, head in _HEADS.items():
        half = (cells[f"{metric}_high"] - cells[f"{metric}_low"]) / 2
        columns[head] = [formats.percents(*pair) for pair in zip(cells[metric], half, strict=True)]
    table = Table(title, (("", pd.DataFrame(columns), right),), (_INTERVAL_NOTE, *notes), label=f"tab:{name}")
    return StudyTable(name, cells, table)


def _setting(value: Any) -> str | None:
    if pd.isna(value):
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)
