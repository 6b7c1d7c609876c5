"""Tests of claims on a study: the trials and seeds that count, the estimate of each contrast, and p."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from analysis.frames.columns import METRIC_NAMES
from analysis.frames.recipe import Recipe, recipe_of
from analysis.frames.study import Study
from analysis.inference.claims import Cell, Claim, Contrast
from analysis.inference.correctness import Correctness, Scores, stacked
from analysis.inference.crossed import Estimate, estimate
from analysis.inference.interim import Schedule
from tivae.config import TrialConfig

# Seeds trained after a claim was written down, with which it is confirmed or not by these alone.
CONFIRMATORY_SEEDS = 3


@dataclass(frozen=True)
class Assessment:
    """One claim's assessment, before it is corrected for the others.

    estimate: of `decisive`, the contrast that decides. p_value: two-sided, corrected for the contrasts and interim
    analyses of this claim; NaN with one seed. favour: whether the evidence points to the claim. correction: by how much
    the level of an interval that agrees with p is divided. confirmatory: whether all seeds were trained after the
    claim, and none is one of those seen before. base_probe: the estimate of `decisive` of a probe that was fitted on
    base images alone, where it is known; it has no part in p. latest: the assessment by the last interim analysis,
    where this one is by the most decisive. missing: why there is no test; "" where there is one.
    """

    recipe: Recipe
    decisive: Contrast
    estimate: Estimate | None = None
    p_value: float = math.nan
    favour: bool = False
    correction: int = 1
    confirmatory: bool = False
    base_probe: Estimate | None = None
    latest: Assessment | None = None
    missing: str = ""


class CellTrials:
    """The finished trials of a cell: of each seed, in order, the key, and the start where it is known."""

    def __init__(self, trials: pd.DataFrame):
        self._rows = trials.set_index(trials["seed"].astype(int)).sort_index()
        self.keys: Mapping[int, str] = self._rows["key"].to_dict()
        began = self._rows.get("started_at", pd.Series(pd.NaT, index=self._rows.index))
        times = pd.to_datetime(began, utc=True, errors="coerce").dropna()
        self.started = {int(seed): time.to_pydatetime() for seed, time in times.items()}
        self._values: dict[str, Mapping[int, float]] = {}

    def is_later(self, seed: int, date: datetime) -> bool:
        """Whether the seed was trained after `date`; no where its start is not known."""
        return seed in self.started and self.started[seed] > date

    def values(self, metric: str, seeds: Sequence[int]) -> list[float]:
        """The metric of each of these seeds; NaN where it is missing."""
        if metric not in self._values:
            column = self._rows.get(metric, pd.Series(math.nan, index=self._rows.index))
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
            self._values[metric] = dict(zip(self._rows.index, map(float, numbers), strict=True))
        return [self._values[metric][seed] for seed in seeds]


class Cells:
    """The trials of each cell of a study, looked up by recipe: claims share both."""

    def __init__(self, study: Study):
        # Few of the 200 columns are read here, and taking rows copies them all.
        needed = {"key", "status", "seed", "started_at", *METRIC_NAMES} & set(study.trials.columns)
        self._trials = study.trials
        self._frame = study.trials[[name for name in study.trials.columns if name in needed]]
        self._seedless = study.seedless
        self._recipes: dict[tuple[str, ...], Recipe] = {}
        self._cells: dict[tuple[tuple[str, ...], Cell], CellTrials] = {}

    def recipe(self, varies: tuple[str, ...]) -> Recipe:
        """The recipe in which cells are compared that differ in `varies`."""
        if varies not in self._recipes:
            self._recipes[varies] = recipe_of(self._trials, self._seedless, varies)
        return self._recipes[varies]

    def of(self, cell: Cell, varies: tuple[str, ...]) -> CellTrials:
        """The finished trials of a cell."""
        if (varies, cell) not in self._cells:
            found = self.recipe(varies).trials_of(self._frame, dict(cell), self._seedless)
            self._cells[varies, cell] = CellTrials(found)
        return self._cells[varies, cell]


@functools.lru_cache(maxsize=8)
def _cells(study: Study) -> Cells:
    return Cells(study)


class Trials:
    """A study's trials by cell, and the test images that each classifies correctly."""

    def __init__(self, study: Study, scores: Correctness):
        self.cells = _cells(study)
        self.scores = scores

    def of(self, claim: Claim) -> Mapping[Cell, CellTrials]:
        """The trials of all cells of a claim."""
        cells = dict.fromkeys(cell for contrast in claim.contrasts() for cell, _ in contrast.terms)
        return {cell: self.cells.of(cell, claim.varies) for cell in cells}

    def estimate(self, contrast: Contrast, cells: Mapping[Cell, CellTrials], seeds: Sequence[int]) -> Estimate:
        """Over seeds and images where each trial's predictions are there, else over seeds alone."""
        total: Scores | None = None
        for (cell, metric), weight in contrast.terms.items():
            values = stacked([cells[cell].keys[seed] for seed in seeds], metric, self.scores)
            if values is None or (total is not None and total.shape != values.shape):
                terms = contrast.terms.items()
                means = [part * np.array(cells[other].values(name, seeds)) for (other, name), part in terms]
                return estimate(np.sum(means, axis=0))
            total = weight * values if total is None else total + weight * values
        assert total is not None, "a contrast has a term"
        return estimate(total)


def assess(claim: Claim, trials: Trials, schedule: Schedule | None = None) -> Assessment:
    """The assessment of `claim` on the seeds that all of its cells have.

    From 3 seeds on that were all trained after the claim's date, and are not of those seen before, these alone count.
    schedule: of interim analyses, by the number of seeds that all cells have; the p-value is then that of the most
    decisive one, corrected for their number.
    """
    contrasts = claim.contrasts()
    recipe = trials.cells.recipe(claim.varies)
    cells = trials.of(claim)
    empty = [cell for cell, found in cells.items() if not found.keys]
    if empty:
        return Assessment(recipe, contrasts[0], missing=f"{len(empty)} of {len(cells)} cells have no finished trial")
    seeds = _shared_seeds(cells)
    if not seeds:
        return Assessment(recipe, contrasts[0], missing="no seed has finished in all of its cells")
    seen = claim.seen_seeds if recipe.is_on_papers_images else ()
    later = [
        seed for seed in seeds if seed not in seen and all(found.is_later(seed, claim.date) for found in cells.values())
    ]
    confirmatory = len(later) >= CONFIRMATORY_SEEDS
    shared, seeds = seeds, later if confirmatory else seeds
    reached = schedule.reached(len(shared)) if schedule is not None else []
    parts = [[seed for seed in seeds if seed in shared[:count]] for count in reached]
    least = CONFIRMATORY_SEEDS if confirmatory else 1
    parts = [part for part in parts if len(part) >= least] or [seeds]
    analyses = len(schedule.seeds) if schedule is not None else 1
    found = []
    for part in parts:
        estimates = [trials.estimate(contrast, cells, part) for contrast in contrasts]
        found.append(_decide(claim, contrasts, estimates, recipe, confirmatory, analyses))
    # The first that is as decisive as any: a decision stands, whatever further seeds give.
    best = min(found, key=lambda one: math.inf if math.isnan(one.p_value) else one.p_value)
    best, latest = (_with_base_probe(one, trials, cells, seeds) for one in (best, found[-1]))
    return dataclasses.replace(best, latest=latest)


def _with_base_probe(
    found: Assessment, trials: Trials, cells: Mapping[Cell, CellTrials], seeds: Sequence[int]
) -> Assessment:
    """With the same contrast for a probe that was fitted on base images alone, where its accuracies are known."""
    used = seeds[: found.estimate.seeds] if found.estimate is not None else []
    terms = {(cell, f"{metric}_fit_base"): weight for (cell, metric), weight in found.decisive.terms.items()}
    if not used or any(math.isnan(value) for cell, metric in terms for value in cells[cell].values(metric, used)):
        return found
    estimated = trials.estimate(Contrast(found.decisive.name, terms), cells, used)
    return dataclasses.replace(found, base_probe=estimated)


def claim_estimates(claim: Claim, trials: Trials) -> list[Estimate]:
    """The estimate of each contrast on the seeds that all cells have; none with fewer than two seeds."""
    cells = trials.of(claim)
    seeds = _shared_seeds(cells)
    return [trials.estimate(contrast, cells, seeds) for contrast in claim.contrasts()] if len(seeds) > 1 else []


def cell_configs(claims: Sequence[Claim], trials: Trials) -> set[TrialConfig]:
    """The cells of the claims, as configs of seed 0."""
    configs = set()
    for claim, contrast in itertools.chain.from_iterable(((c, k) for k in c.contrasts()) for c in claims):
        recipe = trials.cells.recipe(claim.varies)
        configs |= {recipe.config(dict(cell), seed=0) for cell, _ in contrast.terms}
    return {config for config in configs if config is not None}


def _decide(
    claim: Claim,
    contrasts: list[Contrast],
    estimates: list[Estimate],
    recipe: Recipe,
    confirmatory: bool,
    analyses: int,
) -> Assessment:
    """p is the level at which the intervals of all contrasts lie inside the claimed range, or one of them outside.

    All must hold, so that the weakest contrast decides without correction (an intersection-union test); any of them may
    refute the claim, corrected for their number.
    """
    levels = [max(found.level(bound) for bound in claim.bounds) for found in estimates]
    margins = [claim.margin(found.mean) for found in estimates]
    worst = int(np.argmin(margins))
    favour = margins[worst] > 0
    # Of contrasts that all point to the claim, the least certain decides.
    worst = int(np.argmax(levels)) if favour else worst
    if len(estimates[worst].by_seed) < 2:
        return Assessment(recipe, contrasts[worst], estimates[worst])
    inside = max(level if margin > 0 else 1.0 for level, margin in zip(levels, margins, strict=True))
    outside = [level if margin <= 0 else 1.0 for level, margin in zip(levels, margins, strict=True)]
    refuting = int(np.argmin(outside))
    against = min(1.0, len(contrasts) * outside[refuting])
    decisive = worst if favour or against >= 1.0 else refuting
    correction = analyses * (1 if favour else len(contrasts))
    return Assessment(
        recipe=recipe,
        decisive=contrasts[decisive],
        estimate=estimates[decisive],
        p_value=min(1.0, analyses * (inside if favour else against)),
        favour=favour,
        correction=correction,
        confirmatory=confirmatory,
    )


def _shared_seeds(cells: Mapping[Cell, CellTrials]) -> list[int]:
    return sorted(set.intersection(*(set(found.keys) for found in cells.values())))
