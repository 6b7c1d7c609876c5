"""Intervals: of one model's accuracy over test images, and of a share; of means over seeds see `crossed`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from statsmodels.stats.proportion import proportion_confint


@dataclass(frozen=True)
class Interval:
    """A confidence interval; NaN if there is none.

    over: what was sampled: "seeds", "test images", "seeds and test images", or "".
    """

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


def accuracy_interval(accuracy: float, images: int, confidence: float = 0.95) -> Interval:
    """Interval of one trained model's accuracy over test images alone: it does not cover variation between seeds.

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
