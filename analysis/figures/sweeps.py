"""Accuracy against latent size and against the weight of the KL divergence, the controls as lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import style
from analysis.figures.drawing.captions import described, intervals
from analysis.figures.drawing.log_axis import log_axis
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.figures.sweep_points import BETA, KL_WEIGHT, LATENT_SIZE, Sweep, differences, numbers
from analysis.frames.image_sets import pixels_in_words
from analysis.frames.labels import TEST_SET_NAMES, percent
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.study import Study

MAXIMUM_SERIES = 6
# Times the value at which its mean stands.
SEED_SHIFT = 1.06
# Up and down, at least, in the panels of differences.
DIFFERENCE_POINTS = 8.0


def draw(ax: Axes, frame: pd.DataFrame, sweep: Sweep, series: Sequence[str] = ()) -> Axes:
    """One test set: a line per series with intervals as bars; controls as lines with their intervals as bands.

    frame: the rows of one test set. series: those to draw, in the order of their marks; all where none is given.
    The axis is logarithmic; where the sweep holds 0, that stands apart at the left, beyond a break.
    """
    own = frame[~frame["is_control"]]
    names = list(series) or list(own["series"].unique())
    place = log_axis(ax, np.unique(own["x"].dropna().to_numpy()))
    # Each model has its own mark where no two series are of one.
    models = own[own["series"].isin(names)].groupby("series")["model"].first()
    for number, name in enumerate(names):
        part = own[own["series"] == name].sort_values("x")
        if part.empty:
            continue
        mark = style.model_mark(models[name]) if models.is_unique else style.numbered_mark(number)
        line = part[part["on_line"]]
        for points, hollow in ((line, False), (part[~part["on_line"]], True)):
            if points.empty:
                continue
            bars = 100 * style.whiskers(points["mean"], points["low"], points["high"])
            drawn_as = mark.points(hollow=True) if hollow else mark.lines()
            label = None if hollow else name
            x = place(points["x"].to_numpy())
            ax.errorbar(x, 100 * points["mean"], yerr=bars, capsize=2, elinewidth=0.8, label=label, **drawn_as)
            _draw_seeds(ax, x, points["seeds"], mark.colour, 100.0)
    controls: list[str] = []
    for name, part in frame[frame["is_control"]].groupby("series", sort=False):
        model = str(part["model"].iloc[0])
        _draw_control(ax, part, str(name), place, repeat=controls.count(model))
        controls.append(model)
    ax.set_xlabel(sweep.axis_label)
    ax.grid(axis="y")
    return ax


def draw_all(
    figure: Figure,
    frames: Sequence[tuple[Sweep, pd.DataFrame]],
    series: Sequence[str],
    gaps: pd.DataFrame | None = None,
) -> Figure:
    """A row per sweep and a column per test set, with one legend; below the `differences` of two series."""
    axes = figure.subplots(len(frames) + (gaps is not None), 2, sharey="row", squeeze=False)
    if gaps is not None:
        for ax, test_set in zip(axes[-1], TEST_SETS, strict=True):
            draw_difference(ax, gaps[gaps["test_set"] == test_set], frames[0][0], series)
        axes[-1, 0].set_ylabel("Difference (points)")
        axes = axes[:-1]
    for row, (sweep, frame) in zip(axes, frames, strict=True):
        for ax, test_set in zip(row, TEST_SETS, strict=True):
            draw(ax, frame[frame["test_set"] == test_set], sweep, series)
            ax.set_title(TEST_SET_NAMES[test_set])
        row[0].set_ylabel("Accuracy (%)")
    style.letter_panels(list(figure.axes))
    style.legend_above(figure, [axes[0, 0]], series, 3)
    return figure


def draw_difference(ax: Axes, frame: pd.DataFrame, sweep: Sweep, pair: Sequence[str]) -> Axes:
    """The second of two series minus the first, where a point is seen. frame: as of `differences`, one test set."""
    place = log_axis(ax, frame["x"].to_numpy())
    mark = style.numbered_mark(4)
    x = place(frame["x"].to_numpy())
    bars = style.whiskers(frame["mean"], frame["low"], frame["high"])
    ax.errorbar(x, frame["mean"], yerr=bars, capsize=2, elinewidth=0.8, **mark.lines())
    _draw_seeds(ax, x, frame["seeds"], mark.colour)
    ax.axhline(0, color=style.GREY, linewidth=0.8)
    # The claims are about a point: differences many times that may lie outside.
    last = max(abs(float(frame[name].fillna(0).iloc[-1])) for name in ("mean", "low", "high"))
    reach = max(DIFFERENCE_POINTS, 1.2 * last)
    ax.set_ylim(-reach, reach)
    for beyond, mean in zip(x, frame["mean"], strict=True):
        if abs(mean) > reach:
            _write_beyond(ax, beyond, mean, reach)
    ax.set_title(f"{pair[1]} minus {pair[0]}")
    ax.set_xlabel(sweep.axis_label)
    ax.grid(axis="y")
    return ax


def _write_beyond(ax: Axes, x: float, value: float, reach: float) -> None:
    """A value that lies outside of -reach to reach, at the edge and with an arrow."""
    up = 1 if value > 0 else -1
    text = f"{'↑' if up > 0 else '↓'} {value:+.1f}".replace("-", "−")
    place: dict[str, Any] = {
        "xytext": (-3, -3 * up),
        "textcoords": "offset points",
        "ha": "left",
        "va": "top" if up > 0 else "bottom",
    }
    ax.annotate(text, (x, up * reach), fontsize=7, **place)


def _draw_seeds(ax: Axes, x: np.ndarray, seeds: pd.Series, colour: str, scale: float = 1.0) -> None:
    """The seeds of each point of several, beside their mean."""
    for point, values in style.seed_values(seeds):
        places = [x[point] * SEED_SHIFT] * len(values)
        ax.plot(places, [scale * value for value in values], color=colour, **style.SEED_MARK)


def drawn(sources: Sources) -> list[DrawnFigure]:
    """The figures of latent size and of KL weight, those of the two that the study varies."""
    figures, reasons = [], []
    for sweeps in ((LATENT_SIZE,), (KL_WEIGHT, BETA)):
        try:
            figures.append(_figure(sources.study, sweeps))
        except NotSupported as problem:
            reasons.append(str(problem))
    if not figures:
        raise NotSupported("; ".join(dict.fromkeys(reasons)))
    return figures


def _figure(study: Study, sweeps: Sequence[Sweep]) -> DrawnFigure:
    frames = [(sweep, numbers(study, sweep)) for sweep in sweeps]
    first = frames[0][1]
    title = f"Accuracy by {sweeps[0].noun}"
    series = _shown_series(first)
    everything = first.loc[~first["is_control"], "series"].nunique()
    rows = -(-len(series) // 3)
    gaps = differences(study, sweeps[0], first, series) if len(series) == 2 and len(frames) == 1 else None
    gaps = gaps if gaps is not None and len(gaps) else None
    over = f", with its 95 % interval over {gaps['over'].iloc[0]}" if gaps is not None and gaps["over"].iloc[0] else ""
    height = 2.5 * len(frames) + 0.2 + 0.17 * rows + (0 if gaps is None else 1.7)
    figure = draw_all(style.new_figure(height), frames, series, gaps)
    sentences = [
        f"{title} on both test sets. {intervals(first['over'])}",
        f"{len(series)} of {everything} series, those with the best augmented accuracy."
        if len(series) < everything
        else "",
        "Hollow markers: the same size with another number of classes than the paper's."
        if not first["on_line"].all()
        else "",
        f"β = KL weight / reconstruction weight × {pixels_in_words(study.trials)} / 2." if BETA in sweeps else "",
        "Weight 0 stands beyond the break of the axis." if (first["x"] == 0).any() else "",
        "" if gaps is None else f"Below, their difference near 0{over}.",
        "Hollow dots beside a mean are its seeds." if (first["n"] > 1).any() else "",
        "Controls are lines." if first["is_control"].any() else "",
        described(study.trials),
    ]
    data = pd.concat([frame.assign(sweep=sweep.name) for sweep, frame in frames], ignore_index=True)
    caption = " ".join(filter(None, sentences))
    return DrawnFigure(f"accuracy_by_{sweeps[0].name}", title, caption, figure, data, _alt(title, first, series))


def _alt(title: str, frame: pd.DataFrame, series: Sequence[str]) -> str:
    """From where to where each series goes on the augmented test set."""
    parts = []
    own = frame[frame["on_line"] & (frame["test_set"] == "augmented")]
    for name in series:
        line = own[own["series"] == name].sort_values("x")
        ends = [f"{percent(row['mean'])} at {row['x']:g}" for _, row in line.iloc[[0, -1]].iterrows()]
        parts.append(f"{name} from {ends[0]} to {ends[1]}, at best {percent(line['mean'].max())}")
    return f"{title}, on the augmented test set: {'; '.join(parts)}."


def _shown_series(frame: pd.DataFrame) -> list[str]:
    own = frame[~frame["is_control"] & (frame["test_set"] == "augmented")]
    best = own.groupby("series", sort=False)["mean"].max().sort_values(ascending=False, kind="stable")
    chosen = set(best.index[:MAXIMUM_SERIES])
    return [name for name in own["series"].unique() if name in chosen]


def _draw_control(
    ax: Axes, part: pd.DataFrame, name: str, place: Callable[[np.ndarray], np.ndarray], repeat: int = 0
) -> None:
    """A control of several sizes follows the axis; one of one size, such as the raw pixels, is a level across it.

    repeat: how many lines of the same control there are already, which all have other line styles.
    """
    model = str(part["model"].iloc[0])
    mark = style.model_mark(model)
    if repeat:
        mark = dataclasses.replace(mark, line=style.numbered_mark(repeat + 1).line)
    part = part.dropna(subset=["x"]) if model != "pixels" else part
    left, right = ax.get_xlim()
    x = place(part["x"].to_numpy())
    if model == "pixels" or len(np.unique(x)) < 2:
        mean, low, high = (100 * part[column].iloc[0] for column in ("mean", "low", "high"))
        ax.axhline(mean, color=mark.colour, linestyle=mark.line, linewidth=1, label=name)
        ax.fill_between([left, right], [low] * 2, [high] * 2, color=mark.colour, alpha=0.15, linewidth=0)
    else:
        part = part.assign(place=x).sort_values("place")
        ax.plot(part["place"], 100 * part["mean"], linewidth=1, label=name, **mark.lines())
        ax.fill_between(
            part["place"], 100 * part["low"], 100 * part["high"], color=mark.colour, alpha=0.15, linewidth=0
        )
    ax.set_xlim(left, right)
