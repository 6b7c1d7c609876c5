"""Corrections for multiple tests that control the family-wise error rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's (1979) adjusted p-values, in the order given; one that is NaN, a test not made, is not counted."""
    given = np.asarray(p_values, dtype=np.float64)
    # Not statsmodels', which collects the process's garbage at each call.
    adjusted = given * holm_divisors(given)
    order = np.argsort(given, kind="stable")[: np.count_nonzero(~np.isnan(given))]
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(adjusted[order]))
    return adjusted


def holm_divisors(p_values: ArrayLike) -> NDArray[np.int64]:
    """By what the level is divided for each test in Holm's method: the number of tests for the smallest p, 1 for the
    largest. Intervals at these levels exclude the null exactly where the adjusted p says so, as long as p does for all
    smaller ones.
    """
    given = np.asarray(p_values, dtype=np.float64)
    divisors = np.ones(len(given), dtype=np.int64)
    made = np.flatnonzero(~np.isnan(given))
    order = made[np.argsort(given[made], kind="stable")]
    divisors[order] = np.arange(len(order), 0, -1)
    return divisors
