"""Two recipes compared seed by seed: the same seeds ran both, so that what a seed brings cancels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analysis.inference.intervals import Interval, SeedMethod, all_equal, finite_array, seed_interval

# Up to here all 2^n flips of signs are counted; beyond, this many random ones.
EXACT_SEEDS = 16
PERMUTATIONS = 9_999


@dataclass(frozen=True)
class PairedComparison:
    """`difference` = mean of first - second over `n` seeds, in the units of the values.

    p_value: of the sign-flip permutation test. smallest_p_value: what it would be if all seeds agreed; above 0.05
    the test cannot tell, whatever the effect (with fewer than 6 seeds).
    t_test_p_value: of the paired t test, which supposes normal differences; NaN with one seed.
    effect_size: Cohen's d of the differences, mean over standard deviation; NaN where that is zero or unknown.
    """

    n: int
    first: float
    second: float
    difference: float
    interval: Interval
    p_value: float
    smallest_p_value: float
    t_test_p_value: float
    effect_size: float


def compare_seeds(
    first: ArrayLike, second: ArrayLike | float = 0.0, confidence: float = 0.95, method: SeedMethod = "auto"
) -> PairedComparison:
    """Compares two figures per seed, given in the same order of seeds; `pair_by_seed` makes them from frames.

    second: a number compares with a fixed value.

    Two-sided tests of "no difference". Sign-flip: Fisher (1935), The Design of Experiments, section 21.
    Raises `ValueError` where the lengths differ, or a value is missing.
    """
    one = finite_array(first)
    two = np.full_like(one, second) if np.ndim(second) == 0 else finite_array(second)
    if len(one) != len(two):
        raise ValueError(f"{len(one)} figures against {len(two)}; there must be one of each for every seed")
    differences = one - two
    varied = len(differences) > 1 and not all_equal(differences)
    return PairedComparison(
        n=len(one),
        first=float(one.mean()),
        second=float(two.mean()),
        difference=float(differences.mean()),
        interval=seed_interval(differences, confidence, method),
        p_value=sign_flip_p_value(differences),
        smallest_p_value=_smallest_p_value(len(differences)),
        t_test_p_value=_t_test_p_value(differences),
        effect_size=float(differences.mean() / differences.std(ddof=1)) if varied else math.nan,
    )


def pair_by_seed(first: pd.DataFrame, second: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Columns seed, first, second: `metric` of the seeds that both frames of trials have, in order of the seed.

    Raises `ValueError` where a frame holds a seed twice.
    """
    parts = []
    for name, frame in (("first", first), ("second", second)):
        values = frame[["seed", metric]].dropna().rename(columns={metric: name})
        if values["seed"].duplicated().any():
            raise ValueError(f"the {name} trials hold a seed twice; they must be of one cell")
        parts.append(values)
    return parts[0].merge(parts[1], on="seed").sort_values("seed", ignore_index=True)


def sign_flip_p_value(differences: NDArray[np.float64]) -> float:
    """Two-sided p of the mean under random signs: exact up to 16 seeds, else from 9,999 seeded draws."""
    if len(differences) < 2 or all_equal(np.append(differences, 0.0)):
        return 1.0
    exact = len(differences) <= EXACT_SEEDS
    result = stats.permutation_test(
        (differences, -differences),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=2 ** len(differences) if exact else PERMUTATIONS,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def _smallest_p_value(seeds: int) -> float:
    return 2.0 / 2**seeds if seeds <= EXACT_SEEDS else 2.0 / (PERMUTATIONS + 1)


def _t_test_p_value(differences: NDArray[np.float64]) -> float:
    if len(differences) < 2:
        return math.nan
    if all_equal(differences):
        return 1.0 if all_equal(np.append(differences, 0.0)) else 0.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)
