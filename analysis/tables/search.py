"""The best trials of an Optuna search, or its Pareto front."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable
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
    texts = _texts(shown, _head)
    title = (
        "Pareto front of the search" if len(names) > 1 else f"Best trials of the search, by {setting_name(names[0])}"
    )
    notes = [f"The first {MOST_SHOWN} of {len(shown)}."] if len(shown) > MOST_SHOWN else []
    right = [name for name in texts.columns if name not in ("key", "model")]
    return StudyTable("search", shown, Table(title, (("", texts, right),), tuple(notes), label="tab:search"))


def best_text(study: Study | None, width: int = 100) -> str:
    """The table of `search` as text of this width, with what it was chosen by; or a line where no trial is complete.

    What does not fit is left to the report: the trials' numbers first, then their test accuracies and last parameters.
    """
    try:
        found = None if study is None else search(study)
    except NotSupported:
        found = None
    if found is None:
        return "No trial of the search is complete."
    frame = found.frame
    last = [name for name in ("augmented_accuracy", "base_accuracy", "number") if name in frame]
    droppable = [*(name for name in frame if str(name).startswith(PARAMETER)), *last]
    while True:
        texts = _texts(frame, _short_head)
        right = [head for head in texts if head not in (("", "key"), ("", "model"))]
        shown = formats.text(texts, right)
        if max(map(len, shown.splitlines())) <= width or not droppable:
            break
        frame = frame.drop(columns=droppable.pop())
    note = "Chosen on validation images; test accuracies had no part in it."
    rest = "" if len(frame.columns) == len(found.frame.columns) else " The report has all columns."
    return f"{found.table.title}\n\n{shown}\n{textwrap.fill(note + rest, width)}"


def _texts(frame: pd.DataFrame, head: Callable[[str], Hashable]) -> pd.DataFrame:
    columns = {
        head(str(name)): frame[name].head(MOST_SHOWN).map(formats.percents if str(name).endswith("accuracy") else _text)
        for name in frame
    }
    return pd.DataFrame(columns)


def _short_head(name: str) -> tuple[str, str]:
    """A heading with that of its group: accuracies below the images that they are of."""
    if not name.endswith("_accuracy"):
        return "", _head(name)
    images, _, test_set = name.removesuffix("_accuracy").rpartition("_")
    return f"{images or 'test'} (%)", test_set


def _head(name: str) -> str:
    return setting_name(name.removeprefix(PARAMETER)) + (" (%)" if name.endswith("accuracy") else "")


def _text(value: Any) -> str | None:
    if pd.isna(value):
        return None
    return f"{value:.4g}" if isinstance(value, float) else str(value)
