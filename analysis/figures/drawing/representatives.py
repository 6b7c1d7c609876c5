"""The trials shown in figures that have room for one per cell or model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import pandas as pd

from analysis.figures.drawing.saving import NotSupported
from analysis.frames.cells import chosen_by
from analysis.frames.labels import are_controls, in_order, without_ceilings
from analysis.frames.search import objectives_of
from analysis.frames.study import Study
from analysis.frames.trial import Trial

Content = TypeVar("Content")

NOTHING_FINISHED = "no trial has finished"


def finished(study: Study) -> pd.DataFrame:
    """The finished trials. Raises `NotSupported` if there are none."""
    if study.finished.empty:
        raise NotSupported(NOTHING_FINISHED)
    return study.finished


def best_cell(study: Study) -> list[Trial]:
    """The trials, in order of the seed, of the cell with the highest mean of what `ranked_by` gives.

    Raises `NotSupported` if no trial has finished.
    """
    trials, factors = without_ceilings(finished(study)), study.cell_factors()
    metric, sign = ranked_by(study)
    mean = sign * trials.groupby(factors, dropna=False, sort=False)[metric].transform("mean")
    # Of equally good cells the first: a comparison with the maximum alone would mix them.
    number = trials.groupby(factors, dropna=False, sort=False).ngroup()
    chosen = trials[number == number[mean.fillna(-math.inf).idxmax()]]
    return [study.trial(key) for key in chosen.sort_values("seed")["key"]]


def ranked_by(study: Study) -> tuple[str, int]:
    """The metric that ranks cells, and -1 where it is to be small: of a search its objective, else `chosen_by`."""
    wanted = objectives_of(study).items()
    known = [(name, 1 if up else -1) for name, up in wanted if study.finished[name].notna().any()]
    return known[0] if known else (chosen_by(study.finished), 1)


def by_model(study: Study) -> dict[str, Iterator[Trial]]:
    """Finished trials of each model in the order of preference: those of its best cell first, then the others'.

    Controls have neither latents that were learnt nor a decoder: they are left out.

    Raises `NotSupported` if no trial has finished.
    """
    trials = finished(study)
    learnt = trials[~are_controls(trials["model"])]
    if learnt.empty:
        raise NotSupported("only controls have finished")
    preferred: dict[str, Iterator[Trial]] = {}
    for model in in_order(learnt["model"]):
        own = study.where(model=model)
        first = [trial.key for trial in best_cell(own)]
        rest = own.finished.sort_values("augmented_accuracy", ascending=False, kind="stable")["key"]
        preferred[model] = map(study.trial, dict.fromkeys([*first, *rest]))
    return preferred


def readable_by_model(study: Study, read: Callable[[Trial], Content]) -> dict[str, tuple[Trial, Content]]:
    """For each model the first of its trials that `read` can read, and what it read; models without one are left out.

    Raises `NotSupported` if no trial of any model can be read.
    """
    found, problems = {}, []
    for model, trials in by_model(study).items():
        try:
            found[model] = first_readable(trials, read)
        except NotSupported as problem:
            problems.append(problem)
    if not found:
        raise problems[0]
    return found


def first_readable(trials: Iterable[Trial], read: Callable[[Trial], Content]) -> tuple[Trial, Content]:
    """The first of `trials` whose files `read` can read, and what it read; raises as `all_readable`."""
    return all_readable(trials, read, most=1)[0]


def all_readable(
    trials: Iterable[Trial], read: Callable[[Trial], Content], most: int | None = None
) -> list[tuple[Trial, Content]]:
    """Those of `trials` whose files `read` can read, the first `most` of them, and what it read.

    Raises `NotSupported` with the first problem met if none can be read.
    """
    found: list[tuple[Trial, Content]] = []
    problems = []
    for trial in trials:
        try:
            found.append((trial, read(trial)))
        except (ValueError, FileNotFoundError) as problem:
            problems.append(str(problem))
        if len(found) == most:
            break
    if not found:
        raise NotSupported(problems[0] if problems else NOTHING_FINISHED)
    return found
