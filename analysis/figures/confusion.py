"""Figure 5a of the paper: confusion matrices of the probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from statsmodels.stats.proportion import proportion_confint

from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import counted, described
from analysis.figures.drawing.saving import DrawnFigure
from analysis.figures.drawing.sources import Sources
from analysis.frames.image_sets import image_set_of
from analysis.frames.labels import TEST_SET_NAMES, cell_label, percent
from analysis.frames.metric_columns import TEST_SETS

# Smaller shares are not written.
FEWEST = 0.01


def numbers(predictions: Sequence[pd.DataFrame], test_set: str, count_of_classes: int) -> pd.DataFrame:
    """A row per true and predicted class: true, predicted, count, images (of the true class), share, low, high.

    predictions: one frame per trained model, as `Trial.predictions` gives it; counts are summed over them. share:
    count / images, so that the shares of a true class sum to 1. low, high: its 95 % interval over test images
    (Wilson); with several models the images repeat and it is too narrow.
    """
    everything = pd.concat(predictions, ignore_index=True)
    classes = np.arange(count_of_classes)
    counts = pd.crosstab(everything["label"], everything[test_set]).reindex(index=classes, columns=classes)
    counts = counts.fillna(0).astype("int64")
    frame = counts.stack().rename_axis(["true", "predicted"]).rename("count").reset_index()  # noqa: PD013
    frame["images"] = frame["true"].map(counts.sum(axis=1))
    present = frame["images"] > 0
    frame["share"] = (frame["count"] / frame["images"]).where(present)
    low, high = proportion_confint(frame["count"], frame["images"].where(present, 1), method="wilson")
    return frame.assign(low=low.where(present), high=high.where(present))


def draw(ax: Axes, frame: pd.DataFrame, names: Sequence[str]) -> Axes:
    """The share of each true class as shade and in %, from 1 % on; a class without images is left white."""
    cells = frame.set_index(["true", "predicted"])
    shares = cells["share"].unstack().to_numpy()  # noqa: PD010
    colours = matplotlib.colormaps["Blues"].with_extremes(bad="white")
    ax.imshow(shares, cmap=colours, vmin=0, vmax=1)
    for true, predicted in np.argwhere(shares >= FEWEST):
        share = shares[true, predicted]
        colour = "white" if share > 0.5 else "black"
        ax.text(
            predicted,
            true,
            f"{100 * share:.0f}",
            ha="center",
            va="center",
            fontsize=min(6, 60 / len(names)),
            color=colour,
        )
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(labelsize=min(7, 140 / len(names)))
    ax.set_xlabel("Predicted class")
    ax.spines[:].set_visible(True)
    return ax


def drawn(sources: Sources) -> list[DrawnFigure]:
    """One figure with both test sets, of all seeds of the best cell."""
    trials = representatives.best_cell(sources.study)
    readable = representatives.all_readable(trials, lambda trial: trial.predictions())
    predictions = [frame for _, frame in readable]
    rows = sources.study.trials[sources.study.trials["key"].isin([trial.key for trial, _ in readable])]
    classes = image_set_of(trials[0].row).classes
    frames = {test_set: numbers(predictions, test_set, len(classes)) for test_set in TEST_SETS}
    figure = style.new_figure(4.2)
    axes = figure.subplots(1, len(TEST_SETS), sharey=True)
    for ax, (test_set, frame) in zip(axes, frames.items(), strict=True):
        draw(ax, frame, classes)
        accuracy = frame.loc[frame["true"] == frame["predicted"], "count"].sum() / frame["count"].sum()
        ax.set_title(f"{TEST_SET_NAMES[test_set]}: {percent(accuracy)} right")
    axes[0].set_ylabel("True class")
    caption = (
        f"Classes that the probe predicts, in % of each true class, from 1 % on; summed over "
        f"{counted(len(predictions), 'trained model')}. {cell_label(trials[0].row)}. {described(rows)}"
    )
    data = pd.concat([frame.assign(test_set=test_set) for test_set, frame in frames.items()], ignore_index=True)
    return [DrawnFigure("confusion", "Confusion matrices", caption, figure, data, _alt(frames, classes))]


def _alt(frames: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> str:
    """The most frequent mistake on each test set."""
    parts = []
    for test_set, frame in frames.items():
        wrong = frame[(frame["true"] != frame["predicted"]) & frame["share"].notna()]
        worst = wrong.loc[wrong["share"].idxmax()]
        names = [classes[int(worst[name])] for name in ("true", "predicted")]
        parts.append(f"on the {TEST_SET_NAMES[test_set]} {' taken for '.join(names)} in {percent(worst['share'])}")
    return f"Confusion matrices; the most frequent mistake is {'; '.join(parts)}."
