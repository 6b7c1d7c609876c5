"""Accuracy of each cell on both test sets, with intervals, the seeds and the paper's value."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import described, intervals
from analysis.figures.drawing.saving import DrawnFigure
from analysis.figures.drawing.sources import Sources
from analysis.frames.cells import with_cells
from analysis.frames.labels import TEST_SET_NAMES, percent
from analysis.frames.recipe import recipe_of
from analysis.frames.study import Study
from analysis.inference import cell_summaries, correctness_of
from analysis.paper import TABLE_1

MAXIMUM_CELLS = 24
# Inches of a row whose label is one or two lines.
ROW = 0.38
PAPER_LABEL = "the paper's value"
PAPER_MARK: dict[str, Any] = {
    "color": style.BLACK,
    "marker": "D",
    "markerfacecolor": "none",
    "linestyle": "none",
    "markersize": 4,
}


def numbers(study: Study) -> pd.DataFrame:
    """A row per cell and test set: the factors, cell, cell_label, test_set, n, mean, sd, low, high, over, paper, seeds.

    mean, low, high: accuracy, a share, with its 95 % interval; over: what the interval is over. paper: the value of the
    paper's Table 1, missing where the cell is not in it, or the images are others.
    seeds: the accuracy of each seed, as one text.

    Raises `NotSupported` where no trial has finished.
    """
    factors = study.cell_factors()
    trials = with_cells(representatives.finished(study), factors)
    # A cell's number alone would do, but `cell_summaries` checks that its trials are alike in all else.
    summaries = cell_summaries(trials, by=["cell", *factors], scores=correctness_of(study))
    summaries["test_set"] = summaries["metric"].str.removesuffix("_accuracy")
    known = trials.drop_duplicates("cell").set_index("cell")["cell_label"]
    summaries["cell_label"] = summaries["cell"].map(known)
    paper = _paper_values(study, trials)
    pairs = list(zip(summaries["cell"], summaries["test_set"], strict=True))
    summaries["paper"] = [paper.get(pair) for pair in pairs]
    summaries["paper"] = summaries["paper"].astype("float64")
    columns = ["cell", "cell_label", *factors, "test_set", "n", "mean", "sd", "low", "high", "over", "paper", "seeds"]
    return summaries[columns]


def draw(ax: Axes, frame: pd.DataFrame) -> Axes:
    """A line per cell: mean and interval on both test sets, seeds as dots, the paper's value as a diamond."""
    firsts = frame.drop_duplicates("cell")
    labels = list(firsts["cell_label"])
    middles = style.label_rows(ax, labels, list(firsts["model"]), style.row_heights(labels, ROW))
    place = dict(zip(firsts["cell"], middles, strict=True))
    offsets, beside = {"base": -0.14, "augmented": 0.14}, {"base": -0.2, "augmented": 0.2}
    for test_set, part in frame.groupby("test_set", sort=False):
        mark = style.TEST_SET_MARKS[str(test_set)]
        y = part["cell"].map(place) + offsets[str(test_set)]
        for row, seeds in style.seed_values(part["seeds"]):
            heights = [y.iloc[row] + 0.11] * len(seeds)
            ax.plot([100 * seed for seed in seeds], heights, color=mark.colour, **style.SEED_MARK)
        bars = 100 * style.whiskers(part["mean"], part["low"], part["high"])
        name = TEST_SET_NAMES[str(test_set)]
        ax.errorbar(100 * part["mean"], y, xerr=bars, label=name, capsize=2.5, **mark.points())
        paper = part["paper"].notna()
        if paper.any():
            label = PAPER_LABEL if test_set == "base" else None
            height = y[paper] + beside[str(test_set)]
            ax.plot(100 * part["paper"][paper], height, label=label, zorder=3, **PAPER_MARK)
    ax.set_xlabel("Accuracy (% of test images)")
    return ax


def shown_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of `frame` that are drawn: all, or the paper's cells and the best others, up to `MAXIMUM_CELLS`."""
    if frame["cell"].nunique() <= MAXIMUM_CELLS:
        return frame
    paper = list(frame.loc[frame["paper"].notna(), "cell"].unique())
    augmented = frame[frame["test_set"] == "augmented"].sort_values("mean", ascending=False, kind="stable")
    kept = [*paper, *(cell for cell in augmented["cell"] if cell not in paper)][:MAXIMUM_CELLS]
    return frame[frame["cell"].isin(kept)]


def drawn(sources: Sources) -> list[DrawnFigure]:
    """One figure with a line per cell."""
    frame = numbers(sources.study)
    shown = shown_cells(frame)
    cells, all_cells = shown["cell"].nunique(), frame["cell"].nunique()
    rows = style.row_heights(shown.drop_duplicates("cell")["cell_label"], ROW)
    figure = style.new_figure(ROW * sum(rows) + 0.8)
    ax = draw(figure.add_subplot(), shown)
    style.legend_above(figure, [ax], [*TEST_SET_NAMES.values(), PAPER_LABEL])
    sentences = [
        "Accuracy of the probe on the base and the augmented test set for each cell.",
        intervals(shown["over"]),
        "Hollow dots, below each mean, are the seeds." if (shown["n"] > 1).any() else "",
        f"The paper's cells and those with the best augmented accuracy, {cells} of {all_cells}."
        if cells < all_cells
        else "",
        _paper_sentence(sources.study, shown),
        described(sources.study.trials),
    ]
    caption = " ".join(filter(None, sentences))
    return [DrawnFigure("accuracy_by_cell", "Accuracy by cell", caption, figure, frame, _alt(shown))]


def _alt(frame: pd.DataFrame) -> str:
    """The best and the worst cell on each test set."""
    parts = []
    for test_set, rows in frame.groupby("test_set", sort=False):
        best, worst = (rows.loc[rows["mean"].agg(which)] for which in ("idxmax", "idxmin"))
        parts.append(
            f"{TEST_SET_NAMES[str(test_set)]} from {percent(worst['mean'])} ({worst['cell_label']}) to "
            f"{percent(best['mean'])} ({best['cell_label']})"
        )
    return f"Accuracy of {frame['cell'].nunique()} cells: {'; '.join(parts)}."


def _paper_values(study: Study, trials: pd.DataFrame) -> dict[tuple[int, str], float]:
    recipe = recipe_of(study.trials, study.seedless)
    values: dict[tuple[int, str], float] = {}
    for paper in TABLE_1 if recipe.is_on_papers_images else ():
        for cell in recipe.trials_of(trials, paper.factors, study.seedless)["cell"].unique():
            values[int(cell), "base"] = paper.base_accuracy
            values[int(cell), "augmented"] = paper.augmented_accuracy
    return values


def _paper_sentence(study: Study, frame: pd.DataFrame) -> str:
    if frame["paper"].isna().all():
        return ""
    recipe = recipe_of(study.trials, study.seedless)
    if recipe.is_papers:
        return "Diamonds beside ours are the values of the paper's Table 1."
    differs = f"whose recipe differs: here {recipe.differences()}."
    return f"Diamonds beside ours are the values of the paper's Table 1, {differs}"
