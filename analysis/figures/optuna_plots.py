"""The history and the parameter importances of an Optuna search."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from analysis.figures.drawing import style
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.labels import setting_name

if TYPE_CHECKING:
    import optuna

FEWEST_FOR_IMPORTANCES = 10
# Objectives that are products of parameters, whatever is trained.
SIZES = ("encoding_dim", "latent_dim", "categories")
# Before the name of a parameter's column.
PARAMETER = "parameter_"
WIDTH = 0.75 * style.FULL_WIDTH


def numbers(search: optuna.Study) -> pd.DataFrame:
    """A row per trial: number, state, value (or one column per objective), best, key, is_best and the parameters.

    best: the best value so far, for a single objective; is_best: on the Pareto front, or the best trial. key: of the
    trial in the study's frames, missing where the search does not know it.

    Raises `NotSupported` if no trial is complete.
    """
    complete = _complete(search)
    names = objective_names(search)
    best_numbers = {trial.number for trial in search.best_trials}
    rows = []
    for trial in search.get_trials(deepcopy=False):
        values = complete.get(trial.number, [None] * len(names))
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
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    if objective_names(search)[objective] in SIZES:
        raise NotSupported(f"{objective_names(search)[objective]} is a size, which follows from the parameters")
    complete = _complete(search)
    if len(complete) < FEWEST_FOR_IMPORTANCES:
        raise NotSupported(f"{len(complete)} trials are complete; importances need {FEWEST_FOR_IMPORTANCES}")
    if len({values[objective] for values in complete.values()}) < 2:
        raise NotSupported("all complete trials have the same value; importances need two")
    with warnings.catch_warnings():
        # Optuna warns on every call with a target, also where a search of several objectives needs one.
        warnings.simplefilter("ignore")
        try:
            evaluator = FanovaImportanceEvaluator(seed=0)
            target = None if len(search.directions) == 1 else lambda trial: trial.values[objective]  # noqa: PD011
            shares = get_param_importances(search, evaluator=evaluator, target=target)
        except (ValueError, RuntimeError) as problem:
            raise NotSupported(str(problem)) from problem
    if not shares:
        raise NotSupported("the trials have no parameters")
    return pd.DataFrame({"parameter": list(shares), "importance": list(shares.values())})


def objective_names(search: optuna.Study) -> list[str]:
    """The names the search gives its objectives, or "value", or "value_0", "value_1", ..."""
    if search.metric_names:
        return list(search.metric_names)
    count = len(search.directions)
    return ["value"] if count == 1 else [f"value_{number}" for number in range(count)]


def draw_history(ax: Axes, frame: pd.DataFrame, name: str) -> Axes:
    """The objective `name` of each complete trial, and the best so far where there is a single objective."""
    ax.plot(frame["number"], frame[name], **style.numbered_mark(0).points(), label="each trial")
    if "best" in frame:
        best = style.numbered_mark(1)
        drawn_as: dict[str, Any] = {"color": best.colour, "linestyle": best.line, "label": "best so far"}
        ax.step(frame["number"], frame["best"], where="post", **drawn_as)
        ax.legend(loc="best")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("Trial")
    ax.set_ylabel(words(name))
    if name.endswith("accuracy"):
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    return ax


def draw_importances(ax: Axes, shares: pd.DataFrame, name: str) -> Axes:
    """The importance of each parameter for the objective `name`, as bars with their values."""
    shown = shares[::-1]
    bars = ax.barh([setting_name(parameter) for parameter in shown["parameter"]], shown["importance"], color=style.BLUE)
    ax.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
    ax.set_xlim(0, 1.12 * shown["importance"].max())
    ax.set_xlabel(f"Importance for the {setting_name(name)} (shares that sum to 1)")
    return ax


def drawn(sources: Sources) -> list[DrawnFigure]:
    """History and importances of each objective."""
    search = sources.optuna_search()
    if search is None:
        raise NotSupported("the study is not an Optuna search")
    frame = numbers(search)
    counts = ", ".join(f"{count} {state}" for state, count in frame["state"].value_counts().items())
    about = f"{len(frame)} trials ({counts})."
    figures = []
    names = objective_names(search)
    for objective, name in enumerate(names):
        suffix = "" if len(names) == 1 else f"_{name}"
        objective_name = setting_name(name)
        best = " and the best so far" if len(names) == 1 else ""
        caption = f"The {objective_name} of each complete trial in the order of the search{best}. {about}"
        figure = style.new_figure(2.6, WIDTH)
        draw_history(figure.add_subplot(), frame, name)
        values = frame.loc[frame["state"] == "complete", name].astype("float64")
        alt = f"The {objective_name} of {len(values)} trials, from {values.min():.4g} to {values.max():.4g}."
        title = f"Search: {objective_name} by trial"
        figures.append(DrawnFigure(f"optuna_history{suffix}", title, caption, figure, frame, alt))
        with contextlib.suppress(NotSupported):
            shares = importances(search, objective)
            caption = (
                f"The share of the variance of the {objective_name} that each parameter explains, over all complete "
                f"trials (fANOVA, Hutter et al. 2014). {about}"
            )
            title = f"Search: importances for the {objective_name}"
            figure = style.new_figure(0.3 * len(shares) + 0.8, WIDTH)
            draw_importances(figure.add_subplot(), shares, name)
            listed = [f"{setting_name(row.parameter)} {row.importance:.2f}" for row in shares.itertuples()]
            alt = f"{title}: {', '.join(listed)}."
            figures.append(DrawnFigure(f"optuna_importances{suffix}", title, caption, figure, shares, alt))
    return figures


def _complete(search: optuna.Study) -> dict[int, list[Any]]:
    """The objectives of each complete trial by its number."""
    trials = search.get_trials(deepcopy=False)
    complete = {trial.number: list(trial.values) for trial in trials if trial.state.name == "COMPLETE"}
    if not complete:
        raise NotSupported("no trial of the search is complete")
    return complete


def words(name: str) -> str:
    """An objective as the label of an axis; accuracies are drawn in %."""
    text = setting_name(name)
    return f"{text[0].upper()}{text[1:]}" + (" (%)" if name.endswith("accuracy") else "")
