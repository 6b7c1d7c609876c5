"""The gain from the spatial transformer: each trained model without and with it, joined by a line."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import counted, described
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.cells import cell_factors
from analysis.frames.labels import TEST_SET_NAMES, are_controls, in_order, model_name
from analysis.frames.study import Study
from analysis.frames.trial import TEST_SETS

# What the fields of the STN itself are named; they differ within a pair.
OWN = ("stn", "stn_")
LOOKS = {"base": style.numbered_look(0), "augmented": style.numbered_look(1)}


def numbers(study: Study) -> pd.DataFrame:
    """A row per pair and test set: model, train_dataset, seed, test_set, without, with, gain (points).

    A pair has one seed and one setting of all factors but the STN. Raises `NotSupported` where there is none.
    """
    trials = representatives.finished(study)
    trials = trials[~are_controls(trials["model"]) & trials["stn"].isin(["none", "pretrained"])]
    by = [name for name in cell_factors(study) if not name.startswith(OWN)]
    by = list(dict.fromkeys(["model", "train_dataset", *by, "seed"]))
    rows = []
    for values, pair in trials.groupby(by, dropna=False, sort=False):
        arms = pair.drop_duplicates("stn").set_index("stn")
        if len(pair) != 2 or len(arms) != 2:
            continue
        for test_set in TEST_SETS:
            without, behind = (float(arms.loc[mode, f"{test_set}_accuracy"]) for mode in ("none", "pretrained"))
            gain = 100 * (behind - without)
            row = dict(zip(by, values, strict=True))
            rows.append(row | {"test_set": test_set, "without": without, "with": behind, "gain": gain})
    if not rows:
        raise NotSupported("no trial is there both without and with the pretrained spatial transformer")
    return pd.DataFrame(rows)


def draw(ax: Axes, frame: pd.DataFrame) -> Axes:
    """The pairs of one model and test set: a line each, by training data; their mean gains below."""
    for train_dataset, part in frame.groupby("train_dataset", sort=False):
        look = LOOKS[str(train_dataset)]
        for number, (_, pair) in enumerate(part.iterrows()):
            label = f"trained on {train_dataset}" if number == 0 else None
            ends = [100 * pair["without"], 100 * pair["with"]]
            ax.plot([0, 1], ends, label=label, alpha=0.8, linewidth=0.9, **look.lines())
        text = f"{part['gain'].mean():+.1f} points".replace("-", "−")
        place = 0.13 if train_dataset == "base" else 0.03
        ax.text(0.5, place, text, color=look.colour, ha="center", transform=ax.transAxes)
    ax.set_xticks([0, 1], ["no STN", "STN"])
    ax.set_xlim(-0.25, 1.25)
    ax.margins(y=0.25)
    ax.grid(axis="y")
    return ax


def drawn(sources: Sources) -> list[DrawnFigure]:
    """A panel per model and test set."""
    frame = numbers(sources.study)
    models = in_order(frame["model"])
    figure = style.new_figure(2.7, min(style.FULL_WIDTH, 1.9 * 2 * len(models)))
    axes = figure.subplots(1, 2 * len(models), sharey=True)
    for ax, (model, test_set) in zip(axes, [(m, t) for m in models for t in TEST_SETS], strict=True):
        draw(ax, frame[(frame["model"] == model) & (frame["test_set"] == test_set)])
        ax.set_title(f"{model_name(model)}\n{TEST_SET_NAMES[test_set]}")
    axes[0].set_ylabel("Accuracy (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    pairs = len(frame) // len(TEST_SETS)
    means = frame.groupby("test_set", sort=False)["gain"].mean()
    caption = (
        f"Accuracy without and with the pretrained spatial transformer: {counted(pairs, 'pair')} of trained models, "
        "alike in seed and all settings else; numbers are the mean gains in points. " + described(sources.study.trials)
    )
    alt = "; ".join(
        f"on the {TEST_SET_NAMES[str(name)]} {value:+.1f} points in the mean" for name, value in means.items()
    )
    title = "What the spatial transformer gains"
    return [DrawnFigure("stn_gain", title, caption, figure, frame, f"{title}: {alt}.")]
