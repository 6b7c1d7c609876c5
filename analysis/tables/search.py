"""The best trials of an Optuna search, or its Pareto front."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis import formats
from analysis.figures import optuna_plots
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.formats import Table
from analysis.frames.labels import setting_name
from analysis.frames.study import Study
from analysis.tables.study_table import StudyTable

PARAMETER = optuna_plots.PARAMETER
MOST_SHOWN = 20


def search(study: Study) -> StudyTable:
    """The complete trials of a search, best first; of several objectives those on the Pareto front.

    Columns: number, key, the objectives, the parameters (`parameter_<name>`), and the accuracies on the test sets,
    which have no part in a choice on validation images.

    Raises `NotSupported` where the study is no search, or no trial of it is complete.
    """
    found = Sources(study).optuna_search()
    if found is None:
        raise NotSupported("the study is not an Optuna search")
    names = optuna_plots.objective_names(found)
    frame = optuna_plots.numbers(found)
    complete = frame[frame["state"] == "complete"]
    shown = complete[complete["is_best"]] if len(names) > 1 else complete
    shown = shown.sort_values(names[0], ascending=found.directions[0].name == "MINIMIZE", kind="stable")
    parameters = [name for name in frame if str(name).startswith(PARAMETER)]
    shown = shown[["number", "key", *names, *parameters]].reset_index(drop=True)
    accuracies = study.finished.set_index("key")[["base_accuracy", "augmented_accuracy"]]
    shown = shown.join(accuracies[[name for name in accuracies if name not in names]], on="key")
    texts = pd.DataFrame(
        {
            _head(str(name)): shown[name]
            .head(MOST_SHOWN)
            .map(formats.percents if str(name).endswith("accuracy") else _text)
            for name in shown
        }
    )
    title = (
        "Pareto front of the search" if len(names) > 1 else f"Best trials of the search, by {setting_name(names[0])}"
    )
    notes = [f"The first {MOST_SHOWN} of {len(shown)}."] if len(shown) > MOST_SHOWN else []
    right = [name for name in texts.columns if name not in ("key", "model")]
    return StudyTable("search", shown, Table(title, (("", texts, right),), tuple(notes), label="tab:search"))


def best_text(study: Study | None) -> str:
    """The table of `search` as text, with what it was chosen by; or a line where no trial is complete."""
    try:
        table = search(study).table.text() if study is not None else ""
    except NotSupported:
        table = ""
    if not table:
        return "No trial of the search is complete."
    return f"{table}\nChosen on validation images; base and augmented accuracy are of the test sets."


def _head(name: str) -> str:
    return setting_name(name.removeprefix(PARAMETER)) + (" (%)" if name.endswith("accuracy") else "")


def _text(value: Any) -> str | None:
    if pd.isna(value):
        return None
    return f"{value:.4g}" if isinstance(value, float) else str(value)
