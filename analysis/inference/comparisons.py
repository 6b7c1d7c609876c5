"""Two recipes compared seed by seed, and two trained models compared test image by test image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from analysis.inference.correctness import Correctness, stacked
from analysis.inference.crossed import Estimate, estimate
from analysis.inference.intervals import Interval, all_equal, finite_array, share_interval


@dataclass(frozen=True)
class PairedComparison:
    """`difference` = mean of first - second over `n` seeds, in the units of the values.

    p_value: two-sided, of "no difference" (Student's t, see `crossed`); NaN with one seed.
    first_better: share of seeds in which the first is larger, ties counting half, which estimates P(first > second)
    (Bouthillier et al. 2021), with Wilson's interval.
    effect_size: Cohen's d of the differences, mean over standard deviation; NaN where that is zero or unknown.
    """

    n: int
    first: float
    second: float
    difference: float
    interval: Interval
    p_value: float
    first_better: float
    first_better_interval: Interval
    effect_size: float


@dataclass(frozen=True)
class ImageComparison:
    """Two classifiers on the same `n` test images; the four counts sum to n. It holds for these two trained models.

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


def compare_seeds(first: ArrayLike, second: ArrayLike | float = 0.0, confidence: float = 0.95) -> PairedComparison:
    """Compares two values per seed, given in the same order of seeds; `pair_by_seed` makes them from frames.

    The same seeds ran both, so that what a seed brings cancels. Values of (seeds, images) are compared over both.
    second: a number compares with a fixed value.

    Raises `ValueError` where the shapes differ, or a value is missing.
    """
    one = np.asarray(first, dtype=np.float64)
    two = np.full_like(one, second) if np.ndim(second) == 0 else np.asarray(second, dtype=np.float64)
    if one.shape != two.shape:
        raise ValueError(f"{len(one)} values against {len(two)}; there must be one of each for every seed")
    result: Estimate = estimate(one - two)
    differences = finite_array(result.by_seed)
    better = float(np.mean(np.where(differences > 0, 1.0, np.where(differences < 0, 0.0, 0.5))))
    varied = result.seeds > 1 and not all_equal(differences)
    return PairedComparison(
        n=result.seeds,
        first=float(one.mean()),
        second=float(two.mean()),
        difference=result.mean,
        interval=result.interval(confidence),
        p_value=result.level(0.0) if result.seeds > 1 else math.nan,
        first_better=better,
        first_better_interval=share_interval(better * result.seeds, result.seeds, confidence),
        effect_size=float(differences.mean() / differences.std(ddof=1)) if varied else math.nan,
    )


def compare_cells(
    first: pd.DataFrame, second: pd.DataFrame, metric: str, scores: Correctness | None = None
) -> Estimate | None:
    """`metric` of the second trials minus that of the first, over the seeds of both, and over test images where
    `scores` has them; None where they share no seed.

    Raises `ValueError` where a frame holds a seed twice.
    """
    pairs = pair_by_seed(first, second, metric)
    if pairs.empty:
        return None
    keys = [trials.set_index("seed").loc[pairs["seed"], "key"].tolist() for trials in (first, second)]
    known = [stacked(own, metric, scores) for own in keys] if scores is not None else [None, None]
    if known[0] is None or known[1] is None or known[0].shape != known[1].shape:
        return estimate(pairs["second"] - pairs["first"])
    return estimate(known[1] - known[0])


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


def _agresti_min(only_first: int, only_second: int, n: int, confidence: float) -> Interval:
    total = n + 2
    first, second = (only_first + 0.5) / total, (only_second + 0.5) / total
    difference = first - second
    error = math.sqrt((first + second - difference**2) / total)
    width = float(stats.norm.ppf((1 + confidence) / 2)) * error
    return Interval(
        max(-1.0, difference - width), min(1.0, difference + width), confidence, "Agresti-Min", "test images"
    )
