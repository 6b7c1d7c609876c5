"""Accuracy against angle, shift and scale: how far an image may be warped before its class is lost.

The accuracies are those that a trial measured after its training (`recorded`), in a frame with these columns, one row
per trained model, warp and amount:

    model, train_dataset, seed        as in `trials`
    front                             what stands in front of the model (`labels.in_front`)
    warp                              rotation, shift or scale
    amount                            degrees clockwise, pixels (right, down, left and up, each a fourth of the images),
                                      or a factor
    accuracy                          share of the warped test images that the probe classifies correctly
    images                            number of these images
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import described
from analysis.figures.drawing.known_warps import CURVE_WARPS, KnownWarp
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.image_sets import image_set_of
from analysis.frames.labels import are_controls, in_front, in_order, model_name, percent, setting_name, stn_name
from analysis.frames.study import PAPER_FACTORS, VALUE_ORDER, Study, check_column
from analysis.frames.trial import Trial
from analysis.inference import accuracy_interval, at_most
from tivae.config import TrialConfig

SERIES = ("model", "train_dataset", "front")
RANGE = "range of the augmentation"
# What `tivae.evaluation.measures` calls them.
RECORDED_WARPS = {"rotation_degrees": "rotation", "shift_pixels": "shift", "scale": "scale"}
COLUMNS = (*SERIES, "seed", "warp", "amount", "accuracy", "images")


def recorded(study: Study) -> pd.DataFrame:
    """The frame's rows that the trials measured themselves, of the best cell of each model, training data and front.

    A trial has measured its curves, on all its test images, unless it ran with `--measures none`; the best cell is that
    of those which have. `attrs["keys"]` names the trials. Raises `NotSupported` where no trial has finished, or none
    has measured.
    """
    trials = representatives.finished(study)
    trials = trials[~are_controls(trials["model"])]
    fronts = pd.Series([in_front(trial) for trial in trials[["stn", "front"]].to_dict("records")], trials.index)
    rows, keys = [], []
    for series, group in trials.groupby(["model", "train_dataset", fronts], dropna=False, sort=False):
        part = Study(group.reset_index(drop=True), study.epochs.iloc[:0], study.folders)
        for trial, curves in _measured(part):
            keys.append(trial.key)
            images = trial.row["test_images"]
            count = image_set_of(trial.row).test_images if pd.isna(images) else int(images)
            for warp, curve in curves.items():
                for amount, accuracy in zip(curve["values"], curve["accuracy"], strict=True):
                    rows.append([*series, trial.row["seed"], warp, amount, accuracy, count])
    if not rows:
        raise NotSupported("no trial has measured its accuracy under known warps")
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame.attrs["keys"] = keys
    return frame


def _measured(study: Study) -> list[tuple[Trial, Mapping[str, Any]]]:
    """The trials of the best cell that has curves, with these."""
    while len(study.finished):
        cell = representatives.best_cell(study)
        with contextlib.suppress(NotSupported):
            return representatives.all_readable(cell, _curves)
        rest = study.finished["key"][~study.finished["key"].isin([trial.key for trial in cell])]
        study = study.where(key=rest.tolist())
    return []


def _curves(trial: Trial) -> Mapping[str, Any]:
    """By the warps' names here; a later version may have measured others, which are left out."""
    measured = trial.curves()
    if curves := {name: measured[own] for own, name in RECORDED_WARPS.items() if own in measured}:
        return curves
    raise ValueError(f"trial {trial.key} has measured no curves")


def numbers(accuracies: pd.DataFrame) -> pd.DataFrame:
    """A row per model, train_dataset, front, warp and amount: n (seeds), mean, low, high, over, seeds.

    accuracies: a frame with `COLUMNS`. low, high: the 95 % interval over seeds and test images, as wide as it can be
    (which images are right is not recorded), or over test images (Wilson) where there is one seed. seeds: the accuracy
    of each, as one text.

    Raises `ValueError` for a missing column or an unknown warp, `NotSupported` for a frame without rows.
    """
    for name in COLUMNS:
        check_column(accuracies, name)
    if accuracies.empty:
        raise NotSupported("no accuracy under known warps has been measured")
    known = [warp.name for warp in CURVE_WARPS]
    unknown = set(accuracies["warp"]) - set(known)
    if unknown:
        raise ValueError(f"warp is {sorted(unknown)[0]!r}; it must be one of {', '.join(known)}")
    rows = []
    for names, group in accuracies.groupby([*SERIES, "warp", "amount"], sort=False):
        values = group["accuracy"].to_numpy(dtype=np.float64)
        images = int(group["images"].iloc[0])
        one = len(values) == 1
        interval = accuracy_interval(float(values[0]), images) if one else at_most(values, images).interval()
        by_seed = " ".join(f"{value:.6g}" for value in values)
        rows.append([*names, len(values), values.mean(), interval.low, interval.high, interval.over, by_seed])
    columns = [*SERIES, "warp", "amount", "n", "mean", "low", "high", "over", "seeds"]
    return pd.DataFrame(rows, columns=columns).sort_values([*SERIES, "warp", "amount"], ignore_index=True)


def draw(
    ax: Axes, frame: pd.DataFrame, warp: KnownWarp, config: TrialConfig | None = None, model: str | None = None
) -> Axes:
    """One model and one warp: a line per training data and front, intervals as bands.

    config: shades the range of its augmentation. model: which is drawn, of a frame of several, whose lines are then
    alike in all their panels.
    """
    names = sorted({(row.train_dataset, row.front) for row in frame.itertuples()}, key=_series_order)
    frame = frame[frame["model"] == model] if model is not None else frame
    if config is not None:
        ax.axvspan(*warp.trained_range(config), color="#EEEEEE", zorder=0, label=RANGE)
    for number, (train_dataset, front) in enumerate(names):
        part = frame[
            (frame["train_dataset"] == train_dataset) & (frame["front"] == front) & (frame["warp"] == warp.name)
        ]
        if part.empty:
            continue
        mark = style.numbered_mark(number)
        label = f"trained on {train_dataset}, {front}"
        ax.fill_between(
            part["amount"], 100 * part["low"], 100 * part["high"], color=mark.colour, alpha=0.2, linewidth=0
        )
        ax.plot(part["amount"], 100 * part["mean"], label=label, **mark.lines())
        for row, seeds in style.seed_values(part["seeds"]):
            x, y = [part["amount"].iloc[row]] * len(seeds), [100 * seed for seed in seeds]
            ax.plot(x, y, color=mark.colour, **{**style.SEED_MARK, "markersize": 1.5})
    ax.set_xlabel(warp.axis_label)
    ax.grid(axis="y")
    return ax


def draw_all(figure: Figure, frame: pd.DataFrame, config: TrialConfig | None = None) -> Figure:
    """A row per model and a column per warp, with one legend."""
    models = in_order(frame["model"])
    warps = [warp for warp in CURVE_WARPS if (frame["warp"] == warp.name).any()]
    axes = figure.subplots(len(models), len(warps), sharey=True, squeeze=False)
    for row, model in zip(axes, models, strict=True):
        for ax, warp in zip(row, warps, strict=True):
            draw(ax, frame, warp, config, model)
            ax.set_title(model_name(model))
        row[0].set_ylabel("Accuracy (%)")
    # Student's t knows no bounds: with two seeds its bands leave the range of a share.
    low, high = axes[0, 0].get_ylim()
    axes[0, 0].set_ylim(max(low, 0), min(high, 100))
    style.letter_panels(list(axes.flat))
    labels = [label for ax in axes[:, 0] for label in ax.get_legend_handles_labels()[1] if label != RANGE]
    style.legend_above(figure, axes[:, 0], labels, 3)
    return figure


def drawn(sources: Sources) -> list[DrawnFigure]:
    """One figure of what the trials measured."""
    accuracies = recorded(sources.study)
    frame = numbers(accuracies)
    config = _alike([sources.study.configs.get(key) for key in accuracies.attrs["keys"]])
    models = frame["model"].nunique()
    figure = draw_all(style.new_figure(2.1 * models + 0.55), frame, config)
    images = int(accuracies["images"].max())
    several = [name for name in sources.study.factors() if name not in PAPER_FACTORS]
    sentences = [
        f"Accuracy of the probe on {images:,} test images that are all rotated, shifted (right, down, left and "
        "up, each a fourth of them) or scaled by the same amount. "
        f"Bands are 95 % intervals over {' and '.join(sorted(frame['over'].unique()))}.",
        f"Of several {', '.join(map(setting_name, several))} those with the best augmented accuracy."
        if several
        else "",
        "Small dots are the seeds." if (frame["n"] > 1).any() else "",
        described(sources.study.trials[sources.study.trials["key"].isin(accuracies.attrs["keys"])]),
    ]
    caption = " ".join(filter(None, sentences))
    return [DrawnFigure("warp_curves", "Accuracy under known warps", caption, figure, frame, _alt(frame))]


def _alike(configs: Sequence[TrialConfig | None]) -> TrialConfig | None:
    """One of the configs, if all are known and augment by the same range."""
    ranges = {config and tuple(warp.trained_range(config) for warp in CURVE_WARPS) for config in configs}
    return configs[0] if len(ranges) == 1 else None


def _alt(frame: pd.DataFrame) -> str:
    """What the strongest rotation leaves of each model."""
    parts = []
    rotated = frame[frame["warp"] == "rotation"]
    for name, part in rotated.groupby(list(SERIES), sort=False):
        model, train_dataset, front = map(str, name)
        upright = part.loc[part["amount"].abs().idxmin()]
        worst = part.loc[part["mean"].idxmin()]
        parts.append(
            f"{model_name(model)} trained on {train_dataset}, {front}: {percent(upright['mean'])} upright, "
            f"{percent(worst['mean'])} at {worst['amount']:g} degrees"
        )
    return f"Accuracy under known warps; by rotation: {'; '.join(parts)}." if parts else ""


def _series_order(name: tuple[str, str]) -> tuple[str, int, str]:
    train_dataset, front = name
    known = [stn_name(stn) for stn in VALUE_ORDER["stn"]]
    return "" if train_dataset == "base" else train_dataset, known.index(front) if front in known else len(known), front
