"""What a search found, as text: its best trial, or the front of several objectives."""

from __future__ import annotations

import optuna
import pandas as pd

SHOWN = 10


def found(study: optuna.Study) -> pd.DataFrame:
    """Complete trials, the best first (of several objectives: those on the Pareto front), at most ten.

    Columns: number, key, the objectives, the parameters, and the accuracies on the test sets, which had no part in
    the choice.
    """
    names = list(study.metric_names or [])
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if len(names) > 1:
        shown = sorted(study.best_trials, key=_first_value) if complete else []
    else:
        sign = -1 if study.direction.name == "MAXIMIZE" else 1
        shown = sorted(complete, key=lambda trial: sign * _first_value(trial))[:SHOWN]
    rows = []
    for trial in shown:
        row = {"number": trial.number, "key": trial.user_attrs.get("key")}
        row |= dict(zip(names, trial.values, strict=True)) | trial.params
        row |= {name: trial.user_attrs.get(f"test_{name}") for name in ("base_accuracy", "augmented_accuracy")}
        rows.append(row)
    return pd.DataFrame(rows)


def text(study: optuna.Study) -> str:
    """The table of `found`, with a line that says what it is."""
    table = found(study)
    if table.empty:
        return "No trial of the search is complete."
    several = len(study.metric_names or []) > 1
    head = "Pareto front" if several else f"Best {len(table)} trials, by {study.metric_names[0]}"  # type: ignore[index]
    lines = table.astype(object).map(_in_words).to_string(index=False)
    return f"{head} (chosen on validation images; base_ and augmented_accuracy are of the test sets)\n\n{lines}"


def _first_value(trial: optuna.trial.FrozenTrial) -> float:
    return float(trial.values[0])  # noqa: PD011 (no dataframe)


def _in_words(value: object) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
