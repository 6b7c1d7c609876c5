"""Figure 5a of the paper: which classes the linear classifier takes for which."""

from __future__ import annotations

from collections.abc import Sequence

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
from analysis.frames.labels import TEST_SET_NAMES, cell_label
from analysis.frames.trial import TEST_SETS


def numbers(predictions: Sequence[pd.DataFrame], test_set: str, count_of_classes: int) -> pd.DataFrame:
    """A row per true and predicted class: true, predicted, count, images (of the true class), share, low, high.

    predictions: one frame per trained model, as `Trial.predictions` gives it; counts are summed over them. share:
    count / images, so that the shares of a true class sum to 1. low, high: its 95 % interval over test images
    (Wilson); with several models the images repeat and it is too narrow.
    """
    everything = pd.concat(predictions)
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
    """The share of each true class as shade and in per cent, its count below; a class without images is left white."""
    cells = frame.set_index(["true", "predicted"])
    shares = cells["share"].unstack().to_numpy()  # noqa: PD010
    counts = cells["count"].unstack().to_numpy()  # noqa: PD010
    colours = matplotlib.colormaps["Blues"].with_extremes(bad="white")
    picture = ax.imshow(shares, cmap=colours, vmin=0, vmax=1)
    for true, predicted in np.argwhere(counts > 0):
        share, count = shares[true, predicted], counts[true, predicted]
        ax.text(
            predicted,
            true,
            f"{'<1%' if share < 0.01 else f'{share:.0%}'}\n({count:,})",
            ha="center",
            va="center",
            fontsize=min(6, 60 / len(names)),
            color="white" if share > 0.5 else "black",
        )
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(labelsize=min(7, 140 / len(names)))
    ax.set_xlabel("Predicted class")
    ax.set_ylabel("True class")
    ax.spines[:].set_visible(True)
    ax.figure.colorbar(picture, ax=ax, label="Share of the true class", shrink=0.8, format="{x:.0%}")
    return ax


def drawn(sources: Sources) -> list[DrawnFigure]:
    """A figure for each test set, of all seeds of the best cell."""
    trials = representatives.best_cell(sources.study)
    readable = representatives.all_readable(trials, lambda trial: trial.predictions())
    predictions = [frame for _, frame in readable]
    rows = sources.study.trials[sources.study.trials["key"].isin([trial.key for trial, _ in readable])]
    classes = image_set_of(trials[0].row).classes
    figures = []
    for test_set in TEST_SETS:
        frame = numbers(predictions, test_set, len(classes))
        figure = style.new_figure(4.9, 5.6)
        draw(figure.add_subplot(), frame, classes)
        caption = (
            f"Classes that the probe predicts on the {TEST_SET_NAMES[test_set]}: per cent of each true class, and the "
            f"number of images in brackets, summed over {counted(len(predictions), 'trained model')}; empty squares "
            f"are 0. {cell_label(trials[0].row)}. {described(rows)}"
        )
        title = f"Confusion matrix on the {TEST_SET_NAMES[test_set]}"
        figures.append(DrawnFigure(f"confusion_{test_set}", title, caption, figure, frame))
    return figures
