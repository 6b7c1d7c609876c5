"""How a claim is tested on a study: which trials and seeds count, the estimate of each contrast, and p."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.frames.columns import METRIC_NAMES
from analysis.frames.recipe import Recipe, recipe_of, seedless_configs
from analysis.frames.study import Study
from analysis.inference.claims import Cell, Claim, Contrast
from analysis.inference.correctness import Correctness, Scores, stacked
from analysis.inference.crossed import Estimate, estimate
from analysis.inference.looks import Looks
from tivae.config import TrialConfig

# Seeds trained after a claim was written down, with which it is confirmed or not by these alone.
CONFIRMATORY_SEEDS = 3


@dataclass(frozen=True)
class Assessment:
    """One claim's assessment, before it is corrected for the others.

    estimate: of `decisive`, the contrast that decides. p_value: two-sided, corrected for the contrasts and looks of
    this claim; NaN with one seed. favour: whether the evidence points to the claim. correction: by how much the level
    of an interval that says the same as p is divided. confirmatory: whether all seeds were trained after the claim.
    missing: why there is no test; "" where there is one.
    """

    recipe: Recipe
    decisive: Contrast
    estimate: Estimate | None = None
    p_value: float = math.nan
    favour: bool = False
    correction: int = 1
    confirmatory: bool = False
    missing: str = ""


class Trials:
    """A study's trials, looked up by recipe and cell: claims share both."""

    def __init__(self, study: Study, scores: Correctness):
        self.study = study
        self.scores = scores
        # Of the 200 columns few are read here, and every row taken copies all.
        needed = {"key", "status", "seed", "started_at", *METRIC_NAMES} & set(study.trials.columns)
        self.frame = study.trials[[name for name in study.trials.columns if name in needed]]
        self.configs = seedless_configs(study.trials)
        self._recipes: dict[tuple[str, ...], Recipe] = {}
        self._cells: dict[tuple[tuple[str, ...], Cell], pd.DataFrame] = {}

    def recipe(self, varies: tuple[str, ...]) -> Recipe:
        """The recipe in which cells are compared that differ in `varies`."""
        if varies not in self._recipes:
            self._recipes[varies] = recipe_of(self.study.trials, varies, self.configs)
        return self._recipes[varies]

    def of(self, cell: Cell, varies: tuple[str, ...]) -> pd.DataFrame:
        """The finished trials of a cell, by seed."""
        if (varies, cell) not in self._cells:
            found = self.recipe(varies).trials_of(self.frame, dict(cell), self.configs)
            self._cells[varies, cell] = found.set_index(found["seed"].astype(int)).sort_index()
        return self._cells[varies, cell]

    def estimate(self, contrast: Contrast, rows: Mapping[Cell, pd.DataFrame], seeds: Sequence[int]) -> Estimate:
        """Over seeds and images where each trial's predictions are there, else over seeds alone."""
        parts: list[Scores] = []
        for (cell, metric), weight in contrast.terms.items():
            values = stacked(list(rows[cell].loc[list(seeds), "key"]), metric, self.scores)
            if values is None or (parts and parts[0].shape != values.shape):
                return self._over_seeds(contrast, rows, seeds)
            parts.append(weight * values)
        return estimate(np.sum(parts, axis=0))

    @staticmethod
    def _over_seeds(contrast: Contrast, rows: Mapping[Cell, pd.DataFrame], seeds: Sequence[int]) -> Estimate:
        parts = [
            weight * rows[cell].loc[list(seeds), metric].to_numpy(dtype=np.float64, na_value=np.nan)
            for (cell, metric), weight in contrast.terms.items()
        ]
        return estimate(np.sum(parts, axis=0))


def assess(claim: Claim, trials: Trials, looks: Looks | None = None) -> Assessment:
    """The assessment of `claim` on the seeds that all of its cells have.

    From 3 seeds on that were all trained after the claim's date, these alone count. looks: of a study that was judged
    as it grew; the p-value is then that of the most decisive look, corrected for their number.
    """
    contrasts = claim.contrasts()
    recipe = trials.recipe(claim.varies)
    cells = dict.fromkeys(cell for contrast in contrasts for cell, _ in contrast.terms)
    rows = {cell: trials.of(cell, claim.varies) for cell in cells}
    empty = [cell for cell, found in rows.items() if found.empty]
    if empty:
        return Assessment(recipe, contrasts[0], missing=f"{len(empty)} of {len(cells)} cells have no finished trial")
    seeds = sorted(set.intersection(*(set(found.index) for found in rows.values())))
    if not seeds:
        return Assessment(recipe, contrasts[0], missing="no seed has finished in all of its cells")
    later = [seed for seed in seeds if all(_is_later(found.loc[seed], claim) for found in rows.values())]
    confirmatory = len(later) >= CONFIRMATORY_SEEDS
    seeds = later if confirmatory else seeds
    counts = (looks.reached(len(seeds)) if looks is not None else []) or [len(seeds)]
    divided = looks.corrected_by if looks is not None else 1
    found = []
    for count in counts:
        estimates = [trials.estimate(contrast, rows, seeds[:count]) for contrast in contrasts]
        found.append(_decide(claim, contrasts, estimates, recipe, confirmatory, divided))
    # The first look that says as much as any: a decision stands, whatever further seeds say.
    return min(found, key=lambda one: math.inf if math.isnan(one.p_value) else one.p_value)


def claim_estimates(claim: Claim, trials: Trials) -> list[Estimate]:
    """The estimate of each contrast on the seeds that all cells have; none with fewer than two seeds."""
    contrasts = claim.contrasts()
    cells = dict.fromkeys(cell for contrast in contrasts for cell, _ in contrast.terms)
    rows = {cell: trials.of(cell, claim.varies) for cell in cells}
    seeds = sorted(set.intersection(*(set(found.index) for found in rows.values())))
    return [trials.estimate(contrast, rows, seeds) for contrast in contrasts] if len(seeds) > 1 else []


def cell_configs(claims: Sequence[Claim], trials: Trials) -> set[TrialConfig]:
    """The cells of the claims, as configs of seed 0."""
    configs = set()
    for claim, contrast in itertools.chain.from_iterable(((c, k) for k in c.contrasts()) for c in claims):
        recipe = trials.recipe(claim.varies)
        configs |= {recipe.config(dict(cell), seed=0) for cell, _ in contrast.terms}
    return {config for config in configs if config is not None}


def _decide(
    claim: Claim,
    contrasts: list[Contrast],
    estimates: list[Estimate],
    recipe: Recipe,
    confirmatory: bool,
    looks: int,
) -> Assessment:
    """p is the level at which the intervals of all contrasts lie inside what is claimed, or that of one outside.

    All must hold, so that the weakest speaks for the claim and needs no correction (an intersection-union test); any
    may refute it, corrected for their number.
    """
    levels = [max(found.level(bound) for bound in claim.bounds) for found in estimates]
    margins = [claim.margin(found.mean) for found in estimates]
    worst = int(np.argmin(margins))
    if len(estimates[worst].by_seed) < 2:
        return Assessment(recipe, contrasts[worst], estimates[worst])
    inside = max(level if margin > 0 else 1.0 for level, margin in zip(levels, margins, strict=True))
    outside = [level if margin <= 0 else 1.0 for level, margin in zip(levels, margins, strict=True)]
    refuting = int(np.argmin(outside))
    against = min(1.0, len(contrasts) * outside[refuting])
    favour = margins[worst] > 0
    decisive = worst if favour or against >= 1.0 else refuting
    correction = looks * (1 if favour else len(contrasts))
    return Assessment(
        recipe=recipe,
        decisive=contrasts[decisive],
        estimate=estimates[decisive],
        p_value=min(1.0, looks * (inside if favour else against)),
        favour=favour,
        correction=correction,
        confirmatory=confirmatory,
    )


def _is_later(trial: pd.Series, claim: Claim) -> bool:
    started = pd.to_datetime(trial.get("started_at"), utc=True, errors="coerce")
    return bool(pd.notna(started) and started > claim.date)
