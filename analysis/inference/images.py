"""Trained models compared test image by test image. What holds is about these models, not about other seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from analysis.inference.intervals import Interval, all_equal, finite_array


@dataclass(frozen=True)
class ImageComparison:
    """Two classifiers on the same `n` test images; the four counts sum to n.

    difference: accuracy of the first - that of the second. p_value: McNemar's exact test of "equally accurate".
    odds_ratio: only_first / only_second; infinite or NaN where only_second is zero.
    """

    n: int
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    interval: Interval
    p_value: float
    odds_ratio: float


@dataclass(frozen=True)
class Contrast:
    """Mean of one score per test image, with Student's t interval and the p of "the mean is zero"."""

    n: int
    mean: float
    interval: Interval
    p_value: float


def compare_images(labels: ArrayLike, first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> ImageComparison:
    """Compares the classes that two models predict of the same images.

    Test: McNemar (1947), exact binomial. Interval: Agresti and Min (2005), Wald's after adding 1/2 to each of the
    four counts, so that models which never disagree get an interval and not a point.

    Raises `ValueError` where the three differ in length, or are empty.
    """
    truth, one, two = (np.asarray(values) for values in (labels, first, second))
    if not (truth.ndim == 1 and len(truth) and truth.shape == one.shape == two.shape):
        raise ValueError(f"labels {truth.shape}, first {one.shape}, second {two.shape}; one each for every image")
    right, also = one == truth, two == truth
    counts = [int(np.sum(a & b)) for a, b in ((right, also), (right, ~also), (~right, also), (~right, ~also))]
    both, only_first, only_second, neither = counts
    test = mcnemar([[both, only_first], [only_second, neither]], exact=True)
    return ImageComparison(
        n=len(truth),
        both=both,
        only_first=only_first,
        only_second=only_second,
        neither=neither,
        difference=(only_first - only_second) / len(truth),
        interval=_agresti_min(only_first, only_second, len(truth), confidence),
        p_value=float(test.pvalue),
        odds_ratio=only_first / only_second if only_second else (math.inf if only_first else math.nan),
    )


def contrast(scores: ArrayLike, confidence: float = 0.95) -> Contrast:
    """The mean of a score per test image, such as correct by one model minus correct by another (-1, 0 or 1).

    Any weighted sum of several models' correctness is such a score, so that contrasts of many cells are paired too.
    Equal scores have an interval of width zero.
    """
    array = finite_array(scores)
    mean = float(array.mean())
    if len(array) < 2 or all_equal(array):
        width = 0.0 if len(array) > 1 else math.nan
        interval = Interval(mean - width, mean + width, confidence, "none: all images are equal", "test images")
        return Contrast(len(array), mean, interval, 1.0 if mean == 0 or len(array) < 2 else 0.0)
    test = stats.ttest_1samp(array, 0.0)
    low, high = test.confidence_interval(confidence)
    interval = Interval(float(low), float(high), confidence, "Student's t", "test images")
    return Contrast(len(array), mean, interval, float(test.pvalue))


def _agresti_min(only_first: int, only_second: int, n: int, confidence: float) -> Interval:
    total = n + 2
    first, second = (only_first + 0.5) / total, (only_second + 0.5) / total
    difference = first - second
    error = math.sqrt((first + second - difference**2) / total)
    width = float(stats.norm.ppf((1 + confidence) / 2)) * error
    return Interval(
        max(-1.0, difference - width), min(1.0, difference + width), confidence, "Agresti-Min", "test images"
    )
