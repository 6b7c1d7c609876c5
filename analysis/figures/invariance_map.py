"""Base against augmented accuracy of all arms of a study, with ceilings as lines and the paper's cells marked."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import counted, described, intervals
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.cells import cell_factors, collapsed, with_cells
from analysis.frames.labels import are_ceilings, are_controls, model_name, percent
from analysis.frames.study import Study
from analysis.inference import cell_summaries, correctness_of
from analysis.paper import TABLE_1

METRICS = ("base_accuracy", "augmented_accuracy")
# At most so many arms have their number written beside them.
MOST_NUMBERED = 40


def arms(study: Study) -> pd.DataFrame:
    """A row per cell: cell, arm (its label), model, is_control, is_ceiling, is_collapsed, n, over, and of each accuracy
    its mean, `_low` and `_high` (95 % interval).

    is_collapsed: whether one of its seeds has by its own diagnostics (`frames.cells.collapsed`). `attrs["cells"]` has
    the cell of each finished trial, by the index of `study.finished`.

    Raises `NotSupported` if no trial has finished, or none that is trained with labels.
    """
    finished = representatives.finished(study)
    if not are_ceilings(finished["model"]).any():
        raise NotSupported("no ceiling has finished, a model that is trained with labels (supervised)")
    factors = cell_factors(study)
    trials = with_cells(finished, factors)
    long = cell_summaries(trials, ["cell", *factors], METRICS, scores=correctness_of(study))
    firsts = trials.drop_duplicates("cell").set_index("cell")
    frame = firsts[["cell_label", "model"]].rename(columns={"cell_label": "arm"})
    frame = frame.assign(
        is_control=are_controls(frame["model"]),
        is_ceiling=are_ceilings(frame["model"]),
        is_collapsed=collapsed(trials).groupby(trials["cell"]).any(),
    )
    for metric in METRICS:
        part = long[long["metric"] == metric].set_index("cell")
        names = {"mean": metric, "low": f"{metric}_low", "high": f"{metric}_high"}
        frame = frame.join(part[["n", "over", *names]].rename(columns=names)[[*names.values()]])
        frame[["n", "over"]] = part[["n", "over"]]
    frame = frame.reset_index()
    frame.attrs["cells"] = trials["cell"]
    return frame


def numbers(study: Study) -> pd.DataFrame:
    """The arms that have not collapsed, as `arms` has them, with `number`; the paper's cells below, without intervals.

    Numbers count from 1 in the order of augmented accuracy. Raises `NotSupported` as `arms`.
    """
    frame = arms(study)
    frame = frame[~frame["is_collapsed"]].sort_values("augmented_accuracy", ascending=False, kind="stable")
    frame = frame.assign(number=pd.array(range(1, len(frame) + 1), dtype="Int64"), is_paper=False)
    rows = [
        {"arm": f"paper, experiment {cell.experiment}, STN {cell.stn}", "model": cell.model, "is_paper": True}
        | {metric: getattr(cell, metric) for metric in METRICS}
        for cell in TABLE_1
    ]
    paper = pd.DataFrame(rows).assign(is_control=False, is_ceiling=False, is_collapsed=False, n=1, over="")
    return pd.concat([frame.drop(columns="cell"), paper], ignore_index=True)


def draw(ax: Axes, frame: pd.DataFrame) -> Axes:
    """A point per arm with its intervals, its number beside it; a ceiling's two accuracies as lines."""
    own = frame[~frame["is_paper"]]
    for number, (_, ceiling) in enumerate(own[own["is_ceiling"]].iterrows()):
        mark = style.numbered_mark(number)
        lines: dict[str, Any] = {"color": style.GREY, "linestyle": mark.line, "linewidth": 0.9, "zorder": 1}
        ax.axhline(100 * ceiling["augmented_accuracy"], label=f"ceiling: {ceiling['arm']}", **lines)
        ax.axvline(100 * ceiling["base_accuracy"], **lines)
    shown = own[~own["is_ceiling"]]
    for number, (model, part) in enumerate(shown.groupby("model", sort=False)):
        mark = style.numbered_mark(number)
        bars = {name: 100 * style.whiskers(part[name], part[f"{name}_low"], part[f"{name}_high"]) for name in METRICS}
        # A control's points are hollow.
        points = mark.points(hollow=bool(part["is_control"].all()))
        ax.errorbar(
            100 * part["base_accuracy"],
            100 * part["augmented_accuracy"],
            xerr=bars["base_accuracy"],
            yerr=bars["augmented_accuracy"],
            label=model_name(str(model)),
            capsize=1.5,
            elinewidth=0.7,
            zorder=3,
            **points,
        )
    if len(shown) <= MOST_NUMBERED:
        for _, arm in shown.iterrows():
            place = (100 * arm["base_accuracy"], 100 * arm["augmented_accuracy"])
            ax.annotate(str(arm["number"]), place, xytext=(3, 3), textcoords="offset points", fontsize=6)
    paper = frame[frame["is_paper"]]
    crosses: dict[str, Any] = {"color": style.BLACK, "marker": "x", "linestyle": "none", "markersize": 4}
    ax.plot(100 * paper["base_accuracy"], 100 * paper["augmented_accuracy"], label="the paper's cells", **crosses)
    low, high = ax.get_xlim()
    ax.plot([low, high], [low, high], color=style.GREY, linewidth=0.6, zorder=0, label="no gap")
    ax.set_xlim(low, high)
    ax.set_xlabel("Accuracy on base images (%)")
    ax.set_ylabel("Accuracy on augmented images (%)")
    ax.grid()
    return ax


def drawn(sources: Sources) -> list[DrawnFigure]:
    """One figure; its caption names the arms by their numbers."""
    frame = numbers(sources.study)
    own = frame[~frame["is_paper"]]
    figure = style.new_figure(4.6)
    ax = draw(figure.add_subplot(), frame)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper")
    gone = int(arms(sources.study)["is_collapsed"].sum())
    best = own[~own["is_ceiling"]].iloc[0] if (~own["is_ceiling"]).any() else own.iloc[0]
    listed = "; ".join(f"{arm['number']}: {arm['arm']}" for _, arm in own[~own["is_ceiling"]].iterrows())
    caption = (
        f"Accuracy on base and on augmented test images of {counted(len(own), 'arm')}, in the order of the latter: "
        f"{listed}. Lines: the same encoder trained with labels. "
        + (f"{counted(gone, 'arm')} left out that collapsed by its own diagnostics. " if gone else "")
        + f"{intervals(own['over'])} {described(sources.study.trials)}"
    )
    alt = (
        f"the best arm, {best['arm']}, reads {percent(best['base_accuracy'])} and {percent(best['augmented_accuracy'])}"
    )
    title = "Base against augmented accuracy"
    return [DrawnFigure("invariance_map", title, caption, figure, frame, f"{title}: {alt}.")]
