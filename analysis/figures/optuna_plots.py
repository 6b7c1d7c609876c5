"""The course of an Optuna search, through Optuna's own drawings in this package's style."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import matplotlib
import matplotlib.style
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.patches import Rectangle

from analysis.figures.drawing import style
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.labels import setting_name

if TYPE_CHECKING:
    import optuna

FEWEST_FOR_IMPORTANCES = 10
# Objectives that are products of parameters, whatever is trained.
SIZES = ("encoding_dim", "latent_dim", "categories")
# Objectives of which the front's largest value is this many times its smallest, such as sizes, have logarithmic axes.
WIDE = 30
# Before the name of a parameter's column.
PARAMETER = "parameter_"

# The word and the look of each of Optuna's series, by its label; every other one is the trials.
SERIES = {
    "Best Value": ("best so far", style.numbered_look(1)),
    "Best Trial": ("Pareto front", style.numbered_look(1)),
    "Trial": ("other trials", style.numbered_look(0)),
    "Feasible Trial": ("other trials", style.numbered_look(0)),
    "Infeasible Trial": ("trials that break a constraint", style.numbered_look(7)),
}


def numbers(search: optuna.Study) -> pd.DataFrame:
    """A row per trial: number, state, value (or one column per objective), best, key, is_best and the parameters.

    best: the best value so far, for a single objective; is_best: on the Pareto front, or the best trial. key: of the
    trial in the study's frames, missing where the search does not know it.

    Raises `NotSupported` where no trial is complete.
    """
    complete = _complete(search)
    names = objective_names(search)
    best_numbers = {trial.number for trial in search.best_trials}
    rows = []
    for trial in search.get_trials(deepcopy=False):
        values = _values(trial) if trial.number in complete else [None] * len(names)
        row = {"number": trial.number, "state": trial.state.name.lower(), **dict(zip(names, values, strict=True))}
        row["key"] = trial.user_attrs.get("key")
        parameters = {f"{PARAMETER}{name}": value for name, value in trial.params.items()}
        rows.append(row | {"is_best": trial.number in best_numbers} | parameters)
    frame = pd.DataFrame(rows)
    if len(names) == 1:
        values = frame[names[0]].astype("float64")
        is_maximised = search.direction.name == "MAXIMIZE"
        frame.insert(3, "best", (values.cummax() if is_maximised else values.cummin()).ffill())
    return frame


def importances(search: optuna.Study, objective: int = 0) -> pd.DataFrame:
    """A row per parameter: parameter, importance (shares that sum to 1), the most important first.

    What share of the objective's variance over all complete trials each parameter explains: fANOVA (Hutter et al.
    2014). Optuna's default looks at the best tenth only, 3 trials of 30.

    Raises `NotSupported` for an objective that is a size, which follows from parameters by its definition; for fewer
    than 10 complete trials, equal values, or no parameter with two values.
    """
    from optuna.importance import get_param_importances

    if objective_names(search)[objective] in SIZES:
        raise NotSupported(f"{objective_names(search)[objective]} is a size, which follows from the parameters")
    complete = _complete(search)
    if len(complete) < FEWEST_FOR_IMPORTANCES:
        raise NotSupported(f"{len(complete)} trials are complete; importances need {FEWEST_FOR_IMPORTANCES}")
    if len({_values(trial)[objective] for trial in complete.values()}) < 2:
        raise NotSupported("all complete trials have the same value; importances need two")
    with warnings.catch_warnings():
        # Optuna warns on every call with a target of what `_target` takes care of.
        warnings.simplefilter("ignore")
        try:
            shares = get_param_importances(search, evaluator=_evaluator(), target=_target(search, objective))
        except (ValueError, RuntimeError) as problem:
            raise NotSupported(str(problem)) from problem
    if not shares:
        raise NotSupported("the trials have no parameters")
    return pd.DataFrame({"parameter": list(shares), "importance": list(shares.values())})


def _evaluator() -> optuna.importance.FanovaImportanceEvaluator:
    from optuna.importance import FanovaImportanceEvaluator

    return FanovaImportanceEvaluator(seed=0)


def _target(search: optuna.Study, objective: int) -> Callable[[optuna.trial.FrozenTrial], float] | None:
    """What Optuna is to explain, of several objectives."""
    return None if len(search.directions) == 1 else lambda trial: _values(trial)[objective]


def objective_names(search: optuna.Study) -> list[str]:
    """The names the search gives its objectives, or "value", or "value_0", "value_1", ..."""
    if search.metric_names:
        return list(search.metric_names)
    count = len(search.directions)
    return ["value"] if count == 1 else [f"value_{number}" for number in range(count)]


def draw_history(search: optuna.Study, objective: int = 0) -> Axes:
    """Values by trial, and for a single objective the best so far, on axes of a figure of its own."""
    from optuna.visualization.matplotlib import plot_optimization_history

    name = objective_names(search)[objective]
    target = None if len(search.directions) == 1 else lambda trial: _values(trial)[objective]
    ax = _drawn_by_optuna(lambda: plot_optimization_history(search, target=target, target_name=name), 2.6)
    ax.set_xlabel("Trial")
    ax.set_ylabel(_words(name))
    return ax


def draw_importances(search: optuna.Study, objective: int = 0) -> Axes:
    """Importance of each parameter for one objective, on axes of a figure of its own."""
    from optuna.visualization.matplotlib import plot_param_importances

    name = objective_names(search)[objective]
    target = _target(search, objective)
    height = 0.3 * len(importances(search, objective)) + 0.8
    ax = _drawn_by_optuna(lambda: plot_param_importances(search, _evaluator(), target=target, target_name=name), height)
    longest = max(bar.get_width() for bar in ax.patches if isinstance(bar, Rectangle))
    ax.set_xlim(0, 1.12 * longest)
    for text in ax.texts:
        text.set(x=text.get_position()[0] + 0.01 * longest, fontsize=7)
    ax.set_xlabel(f"Importance for the {_words(name, capital=False)} (shares that sum to 1)")
    ax.set_ylabel("")
    ax.set_yticks(ax.get_yticks(), [setting_name(label.get_text()) for label in ax.get_yticklabels()])
    return ax


def draw_pareto_front(search: optuna.Study) -> Axes:
    """All trials by two or three objectives, the best marked, on axes of a figure of its own."""
    from optuna.visualization.matplotlib import plot_pareto_front

    names = objective_names(search)
    ax = _drawn_by_optuna(lambda: plot_pareto_front(search, target_names=[_words(name) for name in names]), 3.6)
    if len(names) == 2:
        front = list(zip(*sorted(_values(trial) for trial in search.best_trials), strict=True))
        ax.plot(*front, color=style.VERMILLION, linewidth=0.8, zorder=1)
        for set_scale, values in zip((ax.set_xscale, ax.set_yscale), front, strict=True):
            if min(values) > 0 and max(values) / min(values) > WIDE:
                set_scale("log")
    return ax


def drawn(sources: Sources) -> list[DrawnFigure]:
    """History and importances of each objective, and the Pareto front of several."""
    search = sources.optuna_search()
    if search is None:
        raise NotSupported("the study is no Optuna search")
    frame = numbers(search)
    counts = ", ".join(f"{count} {state}" for state, count in frame["state"].value_counts().items())
    about = f"{len(frame)} trials ({counts})."
    figures = []
    names = objective_names(search)
    for objective, name in enumerate(names):
        suffix = "" if len(names) == 1 else f"_{name}"
        words = _words(name, capital=False)
        best = " and the best so far" if len(names) == 1 else ""
        caption = f"The {words} of each complete trial in the order of the search{best}. {about}"
        ax = draw_history(search, objective)
        figures.append(_figure(f"optuna_history{suffix}", f"Search: {words} by trial", caption, ax, frame))
        with contextlib.suppress(NotSupported):
            shares = importances(search, objective)
            caption = (
                f"The share of the variance of the {words} that each parameter explains, over all complete trials "
                f"(fANOVA, Hutter et al. 2014). {about}"
            )
            title = f"Search: importances for the {words}"
            ax = draw_importances(search, objective)
            figures.append(_figure(f"optuna_importances{suffix}", title, caption, ax, shares))
    if len(names) in (2, 3):
        caption = f"Objectives of all complete trials; none is better in all than one on the Pareto front. {about}"
        ax = draw_pareto_front(search)
        figures.append(_figure("optuna_pareto_front", "Search: Pareto front", caption, ax, frame))
    return figures


def _complete(search: optuna.Study) -> dict[int, optuna.trial.FrozenTrial]:
    trials = search.get_trials(deepcopy=False)
    complete = {trial.number: trial for trial in trials if trial.state.name == "COMPLETE"}
    if not complete:
        raise NotSupported("no trial of the search is complete")
    return complete


def _values(trial: optuna.trial.FrozenTrial) -> list[float]:
    return list(trial.values)


def _drawn_by_optuna(draw: Callable[[], Axes], height: float) -> Axes:
    """Axes that Optuna draws through pyplot, without a window; in our style, and out of pyplot's hands."""
    with style.applied(), _our_style_sheet(), _off_screen(), warnings.catch_warnings():
        # These functions call themselves experimental, and importances warn of what `_target` takes care of.
        warnings.simplefilter("ignore")
        ax = draw()
        assert isinstance(ax.figure, Figure)
        plt.close(ax.figure)
        _restyle(ax, height)
    return ax


@contextlib.contextmanager
def _our_style_sheet() -> Iterator[None]:
    """Optuna switches to matplotlib's style sheet "ggplot" in each of its functions: inside, that is our style."""
    before = matplotlib.style.library["ggplot"]
    matplotlib.style.library["ggplot"] = matplotlib.RcParams(style.SETTINGS)
    try:
        yield
    finally:
        matplotlib.style.library["ggplot"] = before


@contextlib.contextmanager
def _off_screen() -> Iterator[None]:
    """pyplot draws in memory inside; outside, its backend is what it was."""
    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    try:
        yield
    finally:
        plt.switch_backend(before)


def _restyle(ax: Axes, height: float) -> None:
    """Gives each series of Optuna's its marker and colour of this package, and its words in the legend."""
    figure = ax.figure
    assert isinstance(figure, Figure)
    figure.set_size_inches(style.FULL_WIDTH * 0.75, height)
    figure.set_layout_engine("constrained")
    for place in ("left", "center", "right"):
        ax.set_title("", loc=place)
    handles, words = [], []
    for artist in [*ax.collections, *ax.lines, *ax.patches]:
        word, look = SERIES.get(str(artist.get_label()), ("each trial", style.numbered_look(0)))
        if isinstance(artist, PathCollection):
            artist.set_paths(
                [MarkerStyle(look.marker).get_path().transformed(MarkerStyle(look.marker).get_transform())]
            )
            artist.set(facecolor=look.colour, edgecolor="white", linewidth=0.4, sizes=[22])
        elif isinstance(artist, Line2D):
            artist.set(color=look.colour, linestyle=look.line, alpha=1.0, drawstyle="steps-post")
        elif isinstance(artist, Rectangle):
            artist.set(facecolor=look.colour, edgecolor="white")
        if not str(artist.get_label()).startswith("_"):
            handles.append(artist)
            words.append(word)
    if len(handles) > 1:
        ax.legend(handles, words, loc="best")
    elif (legend := ax.get_legend()) is not None:
        legend.remove()


def _words(name: str, *, capital: bool = True) -> str:
    words = setting_name(name)
    return words[:1].upper() + words[1:] if capital else words


def _figure(name: str, title: str, caption: str, ax: Axes, data: pd.DataFrame) -> DrawnFigure:
    figure = ax.figure
    assert isinstance(figure, Figure)
    return DrawnFigure(name, title, caption, figure, data)
