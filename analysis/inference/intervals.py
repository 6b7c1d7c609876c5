"""Mean, standard deviation and interval of a cell: over its seeds, or over the test images of its one seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from analysis.frames.columns import config_names
from analysis.frames.image_sets import images_of

# From this many seeds on `auto` is the bootstrap. Measured coverage of a nominal 95 % interval for normal data, BCa:
# 0.51 with 2 seeds, 0.72 with 3, 0.85 with 5, 0.89 with 10, 0.93 with 20; Student's t: 0.95 with any number.
BOOTSTRAP_SEEDS = 10
BOOTSTRAP_RESAMPLES = 9_999
# Numbers drawn at most, so that hundreds of seeds do not take a minute.
BOOTSTRAP_DRAWS = 2_000_000

SeedMethod = Literal["auto", "bca", "t"]
ImageMethod = Literal["wilson", "clopper-pearson"]


@dataclass(frozen=True)
class Interval:
    """A confidence interval. `over` names what was sampled, "seeds" or "test images"; NaN where there is none."""

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


def summarise(values: ArrayLike, confidence: float = 0.95, method: SeedMethod = "auto") -> Summary:
    """Mean, standard deviation and interval over seeds of one figure per seed.

    Raises `ValueError` for no value, or a missing one.
    """
    array = finite_array(values)
    sd = float(np.std(array, ddof=1)) if len(array) > 1 and not all_equal(array) else 0.0
    sd = sd if len(array) > 1 else math.nan
    return Summary(len(array), float(array.mean()), sd, seed_interval(array, confidence, method))


def seed_interval(values: ArrayLike, confidence: float = 0.95, method: SeedMethod = "auto") -> Interval:
    """Interval of the mean over seeds: the BCa bootstrap from 10 seeds on, Student's t below (`method` "auto").

    One seed has no interval (NaN), equal seeds one of width zero. The bootstrap's draws are seeded: the same values
    give the same interval.

    BCa: Efron (1987), "Better bootstrap confidence intervals", as in scipy.stats.bootstrap.
    """
    array = finite_array(values)
    if len(array) < 2:
        return Interval(math.nan, math.nan, confidence, "none: one seed", "seeds")
    if all_equal(array):
        mean = float(array.mean())
        return Interval(mean, mean, confidence, "none: all seeds are equal", "seeds")
    if method == "auto":
        method = "bca" if len(array) >= BOOTSTRAP_SEEDS else "t"
    if method == "bca":
        low, high = stats.bootstrap(
            (array,),
            np.mean,
            confidence_level=confidence,
            n_resamples=max(999, min(BOOTSTRAP_RESAMPLES, BOOTSTRAP_DRAWS // len(array))),
            method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval
        return Interval(float(low), float(high), confidence, "BCa bootstrap", "seeds")
    low, high = stats.ttest_1samp(array, 0.0).confidence_interval(confidence)
    return Interval(float(low), float(high), confidence, "Student's t", "seeds")


def accuracy_interval(
    accuracy: float, images: int, confidence: float = 0.95, method: ImageMethod = "wilson"
) -> Interval:
    """Interval of one trained model's accuracy over test images; it does not hold what another seed would give.

    accuracy: share of the `images` that are classified rightly. Wilson's score interval (1927), or the exact one of
    Clopper and Pearson (1934).

    Raises `ValueError` for an accuracy outside [0, 1], or no image.
    """
    if images < 1 or not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy {accuracy} of {images} images; it must be in [0, 1], of at least 1 image")
    correct = round(accuracy * images)
    name = {"wilson": "wilson", "clopper-pearson": "beta"}[method]
    low, high = proportion_confint(correct, images, alpha=1 - confidence, method=name)
    return Interval(float(low), float(high), confidence, method.title(), "test images")


def cell_summaries(
    trials: pd.DataFrame,
    by: Sequence[str] = ("train_dataset", "model", "stn"),
    metrics: Sequence[str] = ("base_accuracy", "augmented_accuracy"),
    confidence: float = 0.95,
    method: SeedMethod = "auto",
) -> pd.DataFrame:
    """A row per cell and metric of the finished trials: n, mean, sd, low, high, confidence, method, over.

    A cell of one seed has an interval over test images if the metric is an accuracy (`over` says so), else none.

    Raises `ValueError` where trials of one cell differ in more than the seed: name that field in `by` as well, or
    leave trials out.
    """
    finished = trials[trials["status"] == "finished"] if "status" in trials.columns else trials
    rows = []
    for cell, group in finished.groupby(list(by), dropna=False, sort=False):
        check_alike(group, str(dict(zip(by, cell, strict=True))))
        for metric in metrics:
            values = group[metric].dropna()
            if len(values):
                summary = summary_of(values, metric, group, confidence, method)
                rows.append([*cell, metric, summary.n, summary.mean, summary.sd, *_interval_row(summary.interval)])
    interval_names = ["low", "high", "confidence", "method", "over"]
    return pd.DataFrame(rows, columns=[*by, "metric", "n", "mean", "sd", *interval_names])


def summary_of(
    values: pd.Series,
    metric: str,
    trials: pd.DataFrame,
    confidence: float = 0.95,
    method: SeedMethod = "auto",
) -> Summary:
    """As `summarise`; one seed's accuracy gets its interval over test images."""
    summary = summarise(values, confidence, method)
    if summary.n > 1 or "accuracy" not in metric:
        return summary
    images = int(images_of(trials.loc[values.index[:1]], "test_images").iloc[0])
    interval = accuracy_interval(summary.mean, images, confidence)
    return Summary(summary.n, summary.mean, summary.sd, interval)


def check_alike(trials: pd.DataFrame, cell: str) -> None:
    """Raises `ValueError` where `trials` differ in a config field other than the seed, or repeat a seed."""
    for name in config_names(trials):
        if name != "seed" and len(trials[name].unique()) > 1:
            found = ", ".join(map(str, trials[name].unique()[:4]))
            raise ValueError(f"the cell {cell} mixes trials with {name} {found}; add `{name}` to `by`, or filter")
    if "seed" in trials.columns and trials["seed"].duplicated().any():
        raise ValueError(f"the cell {cell} holds a seed twice; give each trial once")


def finite_array(values: ArrayLike) -> NDArray[np.float64]:
    """`values` as a vector of floats. Raises `ValueError` where it is empty or holds a value that is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"values have shape {array.shape}; they must be a list of at least one number")
    if not np.isfinite(array).all():
        raise ValueError("a value is missing or not finite; leave it out first")
    return array


def all_equal(array: NDArray[np.float64]) -> bool:
    """Whether the values differ by no more than rounding, where tests over them have no meaning."""
    return bool(np.ptp(array) <= 1e-12 * max(1.0, float(np.abs(array).max())))


def _interval_row(interval: Interval) -> list[float | str]:
    return [interval.low, interval.high, interval.confidence, interval.method, interval.over]
