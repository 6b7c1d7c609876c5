"""Base against augmented accuracy of all arms of a study, with ceilings as lines and the paper's cells marked."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.arms import Chosen, arm_label, chosen
from analysis.figures.drawing.captions import counted, described, intervals
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.cells import VALIDATION, chosen_by, collapsed, with_cells
from analysis.frames.labels import are_ceilings, are_controls, in_order, model_name, percent, setting_name, stn_name
from analysis.frames.recipe import recipe_of
from analysis.frames.study import Study
from analysis.inference import cell_summaries, correctness_of
from analysis.paper import TABLE_1

METRICS = ("base_accuracy", "augmented_accuracy")
# So many of the best arms are drawn enlarged, with their numbers.
ENLARGED = 12
NO_FRONT = "nothing in front"
_MARKERS = (*style.CLASS_MARKERS, "p", "h", "d", "8")
# Points of accuracy around what is enlarged.
_MARGIN = 0.5


# Two tables and a figure show them.
@functools.lru_cache(maxsize=2)
def arms(study: Study) -> pd.DataFrame:
    """A row per cell, in the order of the accuracy that cells are chosen by (`frames.cells.chosen_by`).

    Columns: cell, key (of one of its trials), number (from 1; missing for ceilings and what has collapsed), arm (its
    label), model, front (what stands in front of the model), is_control, is_ceiling, is_collapsed, n, over, of each
    accuracy its mean, `_low` and `_high` (95 % interval), and `validation_augmented_accuracy`.

    is_collapsed: whether one of its seeds has by its own diagnostics (`frames.cells.collapsed`). `attrs["cells"]` has
    the cell of each finished trial, by the index of `study.finished`, `attrs["by"]` the accuracy of the order, and
    `attrs["choices"]` what is chosen in each arm by its key (`drawing.arms`).

    Raises `NotSupported` if no trial has finished, or none that is trained with labels.
    """
    finished = representatives.finished(study)
    if not are_ceilings(finished["model"]).any():
        raise NotSupported("no ceiling has finished, a model that is trained with labels (supervised)")
    factors = study.cell_factors()
    trials = with_cells(finished, factors)
    long = cell_summaries(trials, ["cell", *factors], METRICS, scores=correctness_of(study))
    firsts = trials.drop_duplicates("cell").set_index("cell")
    choices = _choices(study, firsts, factors)
    frame = firsts[["key", "model"]].assign(
        arm=[_label(study, row, choices) for _, row in firsts.iterrows()],
        front=[_front(row) for _, row in firsts.iterrows()],
        is_control=are_controls(firsts["model"]),
        is_ceiling=are_ceilings(firsts["model"]),
        is_collapsed=collapsed(trials).groupby(trials["cell"]).any(),
    )
    for metric in METRICS:
        part = long[long["metric"] == metric].set_index("cell")
        names = {"mean": metric, "low": f"{metric}_low", "high": f"{metric}_high"}
        frame = frame.join(part[["n", "over", *names]].rename(columns=names)[[*names.values()]])
        frame[["n", "over"]] = part[["n", "over"]]
    if VALIDATION in trials:
        frame[VALIDATION] = trials.groupby("cell")[VALIDATION].mean()
    by = chosen_by(trials)
    frame = frame.sort_values(by, ascending=False, kind="stable").reset_index()
    is_ranked = ~(frame["is_ceiling"] | frame["is_collapsed"])
    frame.insert(1, "number", is_ranked.cumsum().astype("Int64").where(is_ranked))
    frame.attrs.update(cells=trials["cell"], by=by, choices=choices)
    return frame


def _choices(study: Study, firsts: pd.DataFrame, factors: list[str]) -> dict[str, Chosen]:
    """What is chosen in each cell, by the key of its first trial; without those whose model is not known here."""
    known = [key for key in firsts["key"] if key in study.seedless]
    return dict(zip(known, chosen([study.seedless[key] for key in known], factors), strict=True))


def _label(study: Study, first: pd.Series, choices: dict[str, Chosen]) -> str:
    key = first["key"]
    return arm_label(study.seedless[key], choices[key]) if key in choices else str(first["cell_label"])


def _front(trial: pd.Series) -> str:
    front = trial.get("front")
    if front is None or pd.isna(front):
        return NO_FRONT if trial["stn"] == "none" else stn_name(trial["stn"])
    return setting_name(str(front))


def ranked_on(frame: pd.DataFrame) -> str:
    """The images by whose accuracy the frame of `arms` is in order, in words."""
    return f"augmented {'validation' if frame.attrs['by'] == VALIDATION else 'test'} images"


def numbers(study: Study) -> pd.DataFrame:
    """The arms that have not collapsed, as `arms` has them, and the paper's cells below, without `n` and intervals.

    On other images than the paper's its cells are left out. Raises `NotSupported` as `arms`.
    """
    frame = arms(study)
    frame = frame[~frame["is_collapsed"]].assign(is_paper=False, n=frame["n"].astype("Int64"))
    frame = frame.drop(columns=["cell", "key"]).reset_index(drop=True)
    frame.attrs.clear()  # of cells, which are not its rows; pandas would compare them
    if not recipe_of(study.trials, study.seedless).is_on_papers_images:
        return frame
    rows = [
        {"arm": f"paper, experiment {cell.experiment}, STN {cell.stn}", "model": cell.model, "is_paper": True}
        | {metric: getattr(cell, metric) for metric in METRICS}
        for cell in TABLE_1
    ]
    paper = pd.DataFrame(rows).assign(is_control=False, is_ceiling=False, is_collapsed=False, over="")
    return pd.concat([frame, paper], ignore_index=True)


def enlarged(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the best arms, which are drawn enlarged."""
    return frame[frame["number"] <= ENLARGED]


def draw(ax: Axes, frame: pd.DataFrame) -> Axes:
    """A point per arm, and the paper's cells; the best ceiling's two accuracies as lines, others as stars."""
    own = frame[~frame["is_paper"]]
    _points(ax, own[own["number"].notna()], size=4)
    ceilings = _ceilings(frame)
    stars: dict[str, Any] = {"color": style.BLACK, "marker": "*", "linestyle": "none", "markersize": 6}
    ax.plot(100 * ceilings["base_accuracy"], 100 * ceilings["augmented_accuracy"], label="trained with labels", **stars)
    _ceiling(ax, ceilings)
    paper = frame[frame["is_paper"]]
    if len(paper):
        crosses: dict[str, Any] = {"color": style.BLACK, "marker": "x", "linestyle": "none", "markersize": 4}
        ax.plot(100 * paper["base_accuracy"], 100 * paper["augmented_accuracy"], label="the paper's cells", **crosses)
    return _finish(ax)


# Of a panel's sides and between the middles of labels, in points of print.
PANEL, LABEL_ROOM = 220, 8


def draw_enlarged(ax: Axes, frame: pd.DataFrame) -> Axes:
    """The best arms with their intervals and numbers, and the best ceiling's accuracies."""
    best = enlarged(frame)
    for _, arm in best.iterrows():
        place = (100 * arm["base_accuracy"], 100 * arm["augmented_accuracy"])
        across, up = (
            100 * style.whiskers([arm[name]], [arm[f"{name}_low"]], [arm[f"{name}_high"]]) for name in METRICS
        )
        ax.errorbar(*place, xerr=across, yerr=up, color="#BBBBBB", elinewidth=0.7, zorder=1)
    _points(ax, best, size=5)
    ceilings = _ceilings(frame)
    _ceiling(ax, ceilings)
    for set_limits, name in ((ax.set_xlim, "base_accuracy"), (ax.set_ylim, "augmented_accuracy")):
        shown = 100 * pd.concat([best[name], ceilings[name].head(1)])
        set_limits(shown.min() - _MARGIN, shown.max() + _MARGIN)
    places = 100 * best[["base_accuracy", "augmented_accuracy"]].to_numpy(dtype=float)
    spans = np.array([np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())])
    for number, place, offset in zip(best["number"], places, _label_offsets(PANEL * places / spans), strict=True):
        line = {"arrowstyle": "-", "linewidth": 0.4, "color": style.GREY, "shrinkA": 3, "shrinkB": 0}
        words: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7, "zorder": 5, "arrowprops": line}
        ax.annotate(str(number), tuple(place), xytext=offset, textcoords="offset points", **words)
    return _finish(ax)


def _label_offsets(points: np.ndarray) -> list[tuple[float, float]]:
    """Where the label of each of the points (N, 2) stands beside it: nearest, on no other. All in points of print."""
    taken, offsets = list(points), []
    for point in points:
        around = [
            radius * np.array([math.cos(angle), math.sin(angle)])
            for radius in (8, 13, 18, 24, 30)
            for angle in np.pi / 4 + np.arange(8) * np.pi / 4
        ]
        free = [move for move in around if min(math.dist(point + move, other) for other in taken) >= LABEL_ROOM]
        move = free[0] if free else around[0]
        taken.append(point + move)
        offsets.append((float(move[0]), float(move[1])))
    return offsets


def _points(ax: Axes, arms: pd.DataFrame, size: float) -> None:
    """A colour for what stands in front, a marker for the model; controls are hollow."""
    for _, arm in arms.iterrows():
        face = "white" if arm["is_control"] else arm["colour"]
        ax.plot(
            100 * arm["base_accuracy"],
            100 * arm["augmented_accuracy"],
            color=arm["colour"],
            marker=arm["marker"],
            markerfacecolor=face,
            markersize=size,
            linestyle="none",
            zorder=3,
        )


def _ceilings(frame: pd.DataFrame) -> pd.DataFrame:
    """Those of the arms, the best on augmented test images first."""
    return frame[frame["is_ceiling"]].sort_values("augmented_accuracy", ascending=False, kind="stable")


def _ceiling(ax: Axes, ceilings: pd.DataFrame) -> None:
    lines: dict[str, Any] = {"color": style.GREY, "linestyle": (0, (4, 1.5)), "linewidth": 0.9, "zorder": 0}
    for _, best in ceilings.head(1).iterrows():
        ax.axhline(100 * best["augmented_accuracy"], label="the best of these", **lines)
        ax.axvline(100 * best["base_accuracy"], **lines)


def _finish(ax: Axes) -> Axes:
    low, high = (max(ax.get_xlim()[0], ax.get_ylim()[0]), min(ax.get_xlim()[1], ax.get_ylim()[1]))
    limits = ax.get_xlim(), ax.get_ylim()
    if low < high:
        ax.plot([low, high], [low, high], color=style.GREY, linewidth=0.6, zorder=0, label="no gap")
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    ax.set_xlabel("Accuracy on base images (%)")
    ax.set_ylabel("Accuracy on augmented images (%)")
    ax.grid()
    return ax


def marked(frame: pd.DataFrame) -> pd.DataFrame:
    """`numbers` with `colour`, by what stands in front, and `marker`, by the model."""
    own = frame[frame["number"].notna()]
    colours = {front: style.numbered_mark(number).colour for number, front in enumerate(_fronts(own))}
    markers = {model: _MARKERS[number % len(_MARKERS)] for number, model in enumerate(in_order(own["model"]))}
    return frame.assign(colour=frame["front"].map(colours), marker=frame["model"].map(markers))


def _fronts(arms: pd.DataFrame) -> list[str]:
    return sorted(arms["front"].unique(), key=lambda front: (front != NO_FRONT, front))


def _legend(figure: Figure, frame: pd.DataFrame, ax: Axes) -> None:
    own = frame[frame["number"].notna()]
    handles: list[Artist] = []
    for front in _fronts(own):
        mark = {"color": own.loc[own["front"] == front, "colour"].iloc[0], "marker": "s"}
        handles.append(Line2D([], [], linestyle="none", label=front, **mark))
    for model in in_order(own["model"]):
        first = own[own["model"] == model].iloc[0]
        mark = {"color": style.GREY, "marker": first["marker"]}
        mark |= {"markerfacecolor": "white"} if first["is_control"] else {}
        handles.append(Line2D([], [], linestyle="none", label=model_name(model), **mark))
    handles += ax.get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)


def drawn(sources: Sources) -> list[DrawnFigure]:
    """One figure: all arms, and the best of them enlarged; its caption names these by their numbers."""
    frame = numbers(sources.study)
    shown = marked(frame)
    own = frame[~frame["is_paper"]]
    figure = style.new_figure(4.8)
    left, right = figure.subplots(1, 2)
    draw(left, shown)
    draw_enlarged(right, shown)
    style.letter_panels([left, right])
    _legend(figure, shown, left)
    every = arms(sources.study)
    gone = int(every["is_collapsed"].sum())
    best = enlarged(own)
    listed = "; ".join(f"{arm['number']}: {arm['arm']}" for _, arm in best.iterrows())
    caption = (
        f"Accuracy on base and on augmented test images of {counted(len(own), 'arm')}. (b) enlarges the best of them, "
        f"in the order of {ranked_on(every)}: {listed}. Stars: encoders trained with labels, the best one's accuracies "
        "dashed. Hollow: nothing is trained. "
        + (f"{counted(gone, 'arm')} left out that collapsed by its own diagnostics. " if gone else "")
        + f"{intervals(own['over'])} {described(sources.study.trials)}"
    )
    title = "Base against augmented accuracy"
    alt = title
    for _, arm in best.head(1).iterrows():
        both = f"{percent(arm['base_accuracy'])} and {percent(arm['augmented_accuracy'])}"
        alt = f"{title}: the best arm, {arm['arm']}, reads {both}"
    return [DrawnFigure("invariance_map", title, caption, figure, frame, f"{alt}.")]
