"""A study as a pilot: variance between seeds, and the number of seeds that a difference needs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

import pandas as pd

from analysis.figures.drawing.saving import NotSupported
from analysis.frames.labels import are_controls
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.study import VALUE_ORDER, Study
from analysis.inference import correctness_of, plan_seeds, power_of
from analysis.inference.assessment import CONFIRMATORY_SEEDS, Trials, cell_configs, claim_estimates
from analysis.inference.claims import Claim, read_claims
from tivae.config import TrialConfig

# Points of accuracy.
DIFFERENCES = (0.5, 1.0, 2.0)


def seed_plans(study: Study) -> pd.DataFrame:
    """A row per factor of two levels and test set: the seeds that show differences of 0.5, 1 and 2 points, and hours.

    Columns: factor, contrast, test_set, n (seeds here), sd (between seeds, of the difference averaged over all other
    factors, in points), seconds_per_seed (all trials of the median seed that the difference rests on), and for each
    difference d: seeds_<d>, seeds_cautious_<d>, hours_<d> (of `seeds_<d>`, on one slot), as
    `analysis.inference.plan_seeds` has them.

    Raises `NotSupported` where no factor has two levels in the same two or more seeds.
    """
    trials = study.finished[~are_controls(study.finished["model"])]
    if len(trials["seed"].unique()) < 2:
        raise NotSupported("it needs two or more seeds, to know how much seeds differ (--seeds 3)")
    rows = []
    for factor, contrast, pairs in _contrasts(study, trials):
        for test_set in TEST_SETS:
            values = pairs[f"{test_set}_accuracy_second"] - pairs[f"{test_set}_accuracy_first"]
            by_seed = 100 * values.groupby(pairs["seed"]).mean().dropna()
            if len(by_seed) < 2:
                continue
            seconds = (pairs["wall_seconds_first"] + pairs["wall_seconds_second"]).groupby(pairs["seed"]).sum().median()
            row = {"factor": factor, "contrast": contrast, "test_set": test_set, "n": len(by_seed)}
            row |= {"sd": float(by_seed.std()), "seconds_per_seed": float(seconds)}
            for difference in DIFFERENCES:
                plan = plan_seeds(by_seed, difference, float(seconds))
                row |= {f"seeds_{difference:g}": plan.seeds, f"seeds_cautious_{difference:g}": plan.seeds_cautious}
                row |= {f"hours_{difference:g}": plan.hours}
            rows.append(row)
    if not rows:
        raise NotSupported("no factor has two values in the same two or more seeds")
    return pd.DataFrame(rows)


def claim_powers(pilot: Study, seeds: Sequence[int], cells: Collection[TrialConfig] | None = None) -> pd.DataFrame:
    """A row per claim that the pilot can judge: the power to decide it with so many seeds.

    cells: configs of seed 0, to which the claims' own must belong. The power is that for an effect 1 point inside or
    outside of what is claimed, at Holm's smallest level, by the variances of the pilot's seeds and images; of seeds 0,
    1, ... those seen before the claim do not count where enough others do.
    Columns: claim, statement, n (the pilot's seeds), sd (between seeds, in points) and for each number of seeds
    power_<n>. Of a claim with several contrasts the one with the largest error counts.

    Raises `NotSupported` where the pilot has no claim of two or more seeds.
    """
    claims, level = read_claims()
    trials = Trials(pilot, correctness_of(pilot))
    planned = [claim for claim in claims if cells is None or cell_configs([claim], trials) <= set(cells)]
    found = [(claim, estimates) for claim in planned if (estimates := claim_estimates(claim, trials))]
    if not found:
        raise NotSupported("the pilot has no claim whose cells have two or more seeds")
    rows = []
    for claim, estimates in found:
        worst = max(estimates, key=lambda one: one.error)
        sd = math.sqrt(worst.seed_variance * worst.seeds)
        row = {"claim": claim.name, "statement": claim.statement, "n": worst.seeds, "sd": sd}
        alpha = level / len(found)
        rows.append(
            row
            | {
                f"power_{n}": power_of(_counted(claim, n), sd, 1.0, worst.image_variance, alpha)
                for n in dict.fromkeys(seeds)
            }
        )
    return pd.DataFrame(rows)


def _counted(claim: Claim, seeds: int) -> int:
    """Of the seeds 0, 1, ..., so many: those by which the claim is judged."""
    fresh = len(set(range(seeds)) - set(claim.seen_seeds))
    return fresh if fresh >= CONFIRMATORY_SEEDS else seeds


def _contrasts(study: Study, trials: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Each factor of two levels, with the trials of one level beside those that differ in nothing else."""
    metrics = [f"{test_set}_accuracy" for test_set in TEST_SETS]
    for factor in study.factors():
        order = VALUE_ORDER.get(factor, ())
        levels = sorted(
            trials[factor].dropna().unique(), key=lambda level: (order.index(level) if level in order else 0, level)
        )
        if len(levels) != 2:
            continue
        others = [name for name in study.cell_factors() if name != factor]
        parts = [trials.loc[trials[factor] == level, ["seed", *others, *metrics, "wall_seconds"]] for level in levels]
        pairs = parts[0].merge(parts[1], on=["seed", *others], suffixes=("_first", "_second"))
        # A seed that lacks a cell would differ from the others by that cell's effect.
        cells = pairs.groupby("seed").size()
        pairs = pairs[pairs["seed"].isin(cells.index[cells == cells.max()])] if len(cells) else pairs
        yield factor, f"{levels[1]} - {levels[0]}", pairs
