"""Whether a difference is small enough not to matter, which "no significant difference" does not say."""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from analysis.inference.intervals import all_equal, finite_array


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of "the mean difference is outside +-margin".

    low, high: the interval of level 1 - 2 alpha; `equivalent` says whether it lies inside the margin, which is the
    same as p_value < alpha. With one difference nothing can be said: p_value and interval are NaN.
    """

    n: int
    difference: float
    low: float
    high: float
    margin: float
    p_value: float
    equivalent: bool


def equivalence(differences: ArrayLike, margin: float, alpha: float = 0.05, around: float = 0.0) -> Equivalence:
    """TOST (Schuirmann 1987) of paired differences, one per seed or per test image, against around +- margin.

    The result's difference, low and high are in the units of `differences`. Equal differences decide by themselves.
    Raises `ValueError` for a margin that is not above zero, or a missing difference.
    """
    if not margin > 0:
        raise ValueError(f"`margin` is {margin}; it must be above zero, the smallest difference that matters")
    array = finite_array(differences)
    mean = float(array.mean())
    if len(array) < 2:
        return Equivalence(len(array), mean, math.nan, math.nan, margin, math.nan, False)
    if all_equal(array):
        inside = abs(mean - around) < margin
        return Equivalence(len(array), mean, mean, mean, margin, 0.0 if inside else 1.0, inside)
    p_value = float(DescrStatsW(array).ttost_mean(around - margin, around + margin)[0])
    low, high = stats.ttest_1samp(array, 0.0).confidence_interval(1 - 2 * alpha)
    return Equivalence(len(array), mean, float(low), float(high), margin, p_value, p_value < alpha)
