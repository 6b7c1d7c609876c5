"""Both test losses by epoch, one panel per cell."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.figures.drawing import style
from analysis.figures.drawing.captions import described
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.cells import collapsed, with_cells
from analysis.frames.labels import TEST_SET_NAMES, model_name
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.study import Study

PANELS_IN_A_ROW, MAXIMUM_PANELS = 4, 16
# Cells in colour among many.
BEST = 3


def numbers(study: Study) -> pd.DataFrame:
    """A row per cell, test set and epoch: the factors, cell, labels, is_collapsed, epoch, test_set, seeds, mean, low,
    high, status.

    mean, low, high: of the weighted loss over the cell's seeds; low and high are the smallest and the largest. A
    cell shows its finished trials; one that has none yet shows its running ones. Epochs that not all of these
    seeds have are left out, since a mean over changing seeds jumps.

    Raises `NotSupported` where no finished or running trial has an epoch.
    """
    factors = study.cell_factors()
    trials = with_cells(study.trials[study.trials["status"].isin(["finished", "running"])], factors)
    has_finished = (trials["status"] == "finished").groupby(trials["cell"]).transform("any")
    trials = trials[(trials["status"] == "finished") | ~has_finished]
    columns = [f"{name}_loss" for name in TEST_SETS]
    # What compares views alone has no loss of images.
    losses = study.epochs[["key", "epoch", *columns]].dropna(subset=columns, how="all")
    trials = trials.assign(is_collapsed=collapsed(trials))
    known = trials[["key", "cell", "cell_label", "panel_label", "status", "is_collapsed", *factors]]
    known = known.merge(losses, on="key")
    if known.empty:
        raise NotSupported("no finished or running trial has an epoch")
    seeds = known.groupby("cell")["key"].transform("nunique")
    complete = known.groupby(["cell", "epoch"])["key"].transform("nunique") == seeds
    groups = known[complete].groupby(["cell", "epoch"], sort=True)
    firsts = groups[["cell_label", "panel_label", "status", *factors]].first().join(groups["is_collapsed"].any())
    parts = []
    for test_set in TEST_SETS:
        loss = groups[f"{test_set}_loss"]
        over_seeds = loss.agg(seeds="count", mean="mean", low="min", high="max")
        parts.append(firsts.assign(test_set=test_set).join(over_seeds))
    return pd.concat(parts).reset_index().sort_values("cell", kind="stable", ignore_index=True)


def draw(ax: Axes, frame: pd.DataFrame) -> Axes:
    """One cell: both losses by epoch, the mean as line and the seeds' range as band."""
    for test_set, part in frame.groupby("test_set", sort=False):
        mark = style.TEST_SET_MARKS[str(test_set)]
        if (part["seeds"] > 1).any():
            ax.fill_between(part["epoch"], part["low"], part["high"], color=mark.colour, alpha=0.25, linewidth=0)
        every = -(-len(part) // 7)
        ax.plot(part["epoch"], part["mean"], label=TEST_SET_NAMES[str(test_set)], markevery=every, **mark.lines())
    title = frame["panel_label"].iloc[0]
    ax.set_title(f"{title}\n(running)" if frame["status"].iloc[0] == "running" else title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y")
    return ax


def draw_all(figure: Figure, frame: pd.DataFrame) -> Figure:
    """A panel per cell, each model beginning a row; the panels of one model share their limits."""
    models = [list(part["cell"].unique()) for _, part in frame.groupby("model", sort=False)]
    rows = [
        cells[start : start + PANELS_IN_A_ROW] for cells in models for start in range(0, len(cells), PANELS_IN_A_ROW)
    ]
    axes = figure.subplots(len(rows), max(map(len, rows)), squeeze=False)
    first_of_model: dict[str, Axes] = {}
    for cells, row in zip(rows, axes, strict=True):
        for position, ax in enumerate(row):
            if position >= len(cells):
                ax.set_visible(False)
                continue
            part = frame[frame["cell"] == cells[position]]
            model = str(part["model"].iloc[0])
            ax.sharey(first_of_model.setdefault(model, ax))
            ax.sharex(axes[0, 0])
            draw(ax, part)
            ax.tick_params(labelleft=position == 0)
            if position == 0:
                ax.set_ylabel("Weighted test loss")
    for column in range(axes.shape[1]):
        lowest = max(row for row in range(len(rows)) if column < len(rows[row]))
        axes[lowest, column].set_xlabel("Epoch")
    figure.align_ylabels(axes[:, 0])
    style.legend_above(figure, [axes[0, 0]])
    return figure


def draw_overlay(figure: Figure, frame: pd.DataFrame) -> Figure:
    """A panel per model and test set with a line per cell, the `BEST` with the lowest augmented loss in colour."""
    models = list(frame["model"].unique())
    axes = figure.subplots(len(models), len(TEST_SETS), sharex=True, sharey="row", squeeze=False)
    last = frame[frame["test_set"] == "augmented"].sort_values("epoch").groupby("cell").tail(1)
    for model, row in zip(models, axes, strict=True):
        # A model that makes all images the same has no error, and is not the best.
        ranked = list(last[last["model"] == model].sort_values(["is_collapsed", "mean"], kind="stable")["cell"])
        for ax, test_set in zip(row, TEST_SETS, strict=True):
            part = frame[(frame["model"] == model) & (frame["test_set"] == test_set)]
            for cell in reversed(ranked):
                line, place = part[part["cell"] == cell], ranked.index(cell)
                drawn_as: dict[str, Any] = {"color": "#BBBBBB", "linewidth": 0.7, "zorder": 1}
                if place < BEST:
                    drawn_as = style.numbered_mark(place).lines()
                    drawn_as |= {"label": style.in_lines(line["cell_label"].iloc[0])} if len(ranked) > 1 else {}
                ax.plot(line["epoch"], line["mean"], markevery=-(-len(line) // 7), **drawn_as)
            ax.set_title(f"{model_name(model)},\n{TEST_SET_NAMES[test_set]}")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.grid(axis="y")
        row[0].set_ylabel("Weighted test loss")
        handles, labels = row[1].get_legend_handles_labels()
        if labels:
            beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.02, 1), "borderaxespad": 0}
            small = {"fontsize": 6, "title_fontsize": 6}
            row[1].legend(
                handles[::-1], labels[::-1], title="lowest augmented loss", alignment="left", **beside, **small
            )
    for ax in axes[-1]:
        ax.set_xlabel("Epoch")
    return figure


def drawn(sources: Sources) -> list[DrawnFigure]:
    """One figure with a panel per cell, or, of many cells, with a line per cell."""
    frame = numbers(sources.study)
    cells, models = frame["cell"].nunique(), frame["model"].nunique()
    described_trials = described(sources.study.trials[sources.study.trials["status"].isin(["finished", "running"])])
    if cells > MAXIMUM_PANELS:
        figure = draw_overlay(style.new_figure(2.6 * models), frame)
        caption = (
            f"Weighted loss on both test sets after each epoch, a line for each of {cells} cells; in colour those with "
            f"the lowest augmented loss of their model, {BEST} at most. Losses of different models and KL weights have "
            f"different weights. {described_trials}"
        )
    else:
        rows = int(sum(-(-n // PANELS_IN_A_ROW) for n in frame.groupby("model", sort=False)["cell"].nunique()))
        lines = int(frame["panel_label"].str.count("\n").max()) + 1
        figure = draw_all(style.new_figure((1.65 + 0.15 * lines) * rows + 0.4), frame)
        bands = "Each line is a single trained model: with one seed there is no band."
        if (frame["seeds"] > 1).any():
            bands = "Lines are means over seeds, bands reach from the smallest to the largest seed."
        caption = (
            f"Weighted loss on the base and the augmented test set after each epoch, one panel per cell. {bands} "
            f"Panels of one model share their axis; losses of different models have different weights. "
            f"{described_trials}"
        )
    data = frame.drop(columns="panel_label")
    return [DrawnFigure("learning_curves", "Test losses by epoch", caption, figure, data, _alt(frame))]


def _alt(frame: pd.DataFrame) -> str:
    """From where to where the augmented loss of each model's best cell goes."""
    parts = []
    augmented = frame[frame["test_set"] == "augmented"].sort_values("epoch")
    for model, part in augmented.groupby("model", sort=False):
        last = part.groupby("cell").tail(1).sort_values(["is_collapsed", "mean"], kind="stable")
        best = part[part["cell"] == last["cell"].iloc[0]]
        parts.append(
            f"{model_name(str(model))} from {best['mean'].iloc[0]:.3g} to {best['mean'].iloc[-1]:.3g} in the cell with "
            f"the lowest ({best['cell_label'].iloc[0]})"
        )
    return f"Loss on the augmented test set by epoch: {'; '.join(parts)}."
