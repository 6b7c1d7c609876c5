"""Intervals of a mean over seeds, of one model's accuracy over test images, and of a share."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint


@dataclass(frozen=True)
class Interval:
    """A confidence interval. `over` names what was sampled, "seeds" or "test images"; NaN if there is none."""

    low: float
    high: float
    confidence: float
    method: str
    over: str


@dataclass(frozen=True)
class Summary:
    """Mean and standard deviation (divisor n - 1, NaN with one value) of `n` seeds, with the interval of the mean."""

    n: int
    mean: float
    sd: float
    interval: Interval


def summarise(values: ArrayLike, confidence: float = 0.95) -> Summary:
    """Mean, standard deviation and interval over seeds of one number per seed.

    Raises `ValueError` for no value, or a missing one.
    """
    array = finite_array(values)
    sd = float(np.std(array, ddof=1)) if len(array) > 1 and not all_equal(array) else 0.0
    sd = sd if len(array) > 1 else math.nan
    return Summary(len(array), float(array.mean()), sd, seed_interval(array, confidence))


def seed_interval(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Student's t interval of the mean over seeds: of these test images, whatever the seed.

    One seed has no interval (NaN), equal seeds one of width zero. Measured coverage of a nominal 95 % interval for
    normal data is 0.95 with any number; of the BCa bootstrap 0.72 with 3 seeds, 0.91 with 10.
    """
    array = finite_array(values)
    if len(array) < 2:
        return Interval(math.nan, math.nan, confidence, "none: one seed", "seeds")
    if all_equal(array):
        mean = float(array.mean())
        return Interval(mean, mean, confidence, "none: all seeds are equal", "seeds")
    low, high = stats.ttest_1samp(array, 0.0).confidence_interval(confidence)
    return Interval(float(low), float(high), confidence, "Student's t", "seeds")


def accuracy_interval(accuracy: float, images: int, confidence: float = 0.95) -> Interval:
    """Interval of one trained model's accuracy over test images; it does not hold what another seed would give.

    accuracy: share of the `images` that are classified correctly. Wilson's score interval (1927).

    Raises `ValueError` for an accuracy outside [0, 1], or no image.
    """
    if images < 1 or not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy {accuracy} of {images} images; it must be in [0, 1], of at least 1 image")
    correct = round(accuracy * images)
    return replace(share_interval(correct, images, confidence), over="test images")


def share_interval(count: float, of: int, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a share of seeds."""
    low, high = proportion_confint(count, of, alpha=1 - confidence, method="wilson")
    return Interval(float(low), float(high), confidence, "Wilson", "seeds")


def finite_array(values: ArrayLike) -> NDArray[np.float64]:
    """`values` as a vector of floats. Raises `ValueError` if it is empty or holds a value that is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"values have shape {array.shape}; they must be a list of at least one number")
    if not np.isfinite(array).all():
        raise ValueError("a value is missing or not finite; leave it out first")
    return array


def all_equal(array: NDArray[np.float64]) -> bool:
    """Whether the values differ by no more than rounding, where tests over them have no meaning."""
    return bool(np.ptp(array) <= 1e-12 * max(1.0, float(np.abs(array).max())))
