"""The Pareto front of a search of two objectives: a staircase, each model with its own mark."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from analysis.figures import optuna_plots
from analysis.figures.drawing import style
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.figures.optuna_plots import words
from analysis.frames.labels import model_name

# Objectives of which the front's largest value is this many times its smallest, such as sizes, have logarithmic axes.
WIDE = 30


def draw(ax: Axes, frame: pd.DataFrame, x: str, y: str, largest: tuple[bool, bool]) -> Axes:
    """Complete trials by two objectives, hollow where another beats them in both, and the front's staircase.

    frame: as in `optuna_plots.numbers`. largest: whether x and y are to be large.
    """
    complete = frame[frame["state"] == "complete"].assign(
        **{name: frame[name].astype("float64") * scale(name) for name in (x, y)}
    )
    front = complete[complete["is_best"]].sort_values(x)
    # Between two points of the front the better of what is known is what the one with the smaller cost reaches.
    ax.step(
        front[x],
        front[y],
        where="pre" if largest[0] else "post",
        color=style.GREY,
        linewidth=1,
        zorder=1,
        label="Pareto front",
    )
    model = f"{optuna_plots.PARAMETER}model"
    models = complete[model] if model in complete else pd.Series("", index=complete.index)
    for name, part in complete.groupby(models, sort=False):
        mark = style.model_mark(str(name)) if name else style.numbered_mark(0)
        label = model_name(str(name)) if name else "trials"
        for is_best, points in part.groupby("is_best"):
            drawn_as = mark.points(hollow=not is_best)
            ax.plot(points[x], points[y], label=label if is_best else f"{label}, not on it", zorder=2, **drawn_as)
    for name, axis, set_scale in ((x, ax.xaxis, ax.set_xscale), (y, ax.yaxis, ax.set_yscale)):
        low, high = front[name].min(), front[name].max()
        if low > 0 and high / low > WIDE:
            set_scale("log")
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel(words(x))
    ax.set_ylabel(words(y))
    ax.grid()
    ax.legend(loc="best")
    return ax


def scale(name: str) -> float:
    """Accuracies are drawn in %."""
    return 100.0 if name.endswith("accuracy") else 1.0


def drawn(sources: Sources) -> list[DrawnFigure]:
    """One figure, the size across and the metric up, as in all figures."""
    search = sources.optuna_search()
    names = [] if search is None else optuna_plots.objective_names(search)
    if search is None or len(names) != 2:
        raise NotSupported("the study is not an Optuna search of two objectives")
    frame = optuna_plots.numbers(search)
    order = sorted(range(2), key=lambda place: names[place].endswith(("accuracy", "loss")))
    x, y = (names[place] for place in order)
    up = [direction.name == "MAXIMIZE" for direction in search.directions]
    figure = style.new_figure(3.4, 5.4)
    draw(figure.add_subplot(), frame, x, y, (up[order[0]], up[order[1]]))
    count = int((frame["state"] == "complete").sum())
    best = int(frame["is_best"].sum())
    caption = (
        f"Both objectives of all {count} complete trials; none is better in both than one of the {best} on the Pareto "
        "front, whose staircase is what can be had at each value across. Objectives are of validation images; the test "
        "images have no part in them."
    )
    return [DrawnFigure("optuna_pareto_front", "Search: Pareto front", caption, figure, frame, _alt(frame, x, y))]


def _alt(frame: pd.DataFrame, x: str, y: str) -> str:
    """Where the front begins and ends."""
    front = frame[frame["is_best"]].sort_values(x)
    ends = [f"{scale(y) * row[y]:.4g} at {scale(x) * row[x]:.4g}" for _, row in front.iloc[[0, -1]].iterrows()]
    return f"Pareto front of {len(front)} trials, {words(y)} against {words(x)}: from {ends[0]} to {ends[1]}."
