"""Two recipes compared seed by seed, and two trained models compared test image by test image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from statsmodels.stats.contingency_tables import mcnemar

from analysis.inference.correctness import Correctness, stacked
from analysis.inference.crossed import Estimate, estimate


@dataclass(frozen=True)
class ImageComparison:
    """Two classifiers on the same `n` test images: how many both and only one classify correctly.

    p_value: McNemar's exact test of "equally accurate". It holds for these two trained models.
    """

    n: int
    both: int
    only_first: int
    only_second: int
    p_value: float


def compare_cells(
    first: pd.DataFrame, second: pd.DataFrame, metric: str, scores: Correctness | None = None
) -> Estimate | None:
    """`metric` of the second trials minus that of the first, over the seeds of both, and over test images where
    `scores` has them; None where they share no seed. What a seed brings to both cancels.

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


def compare_images(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> ImageComparison:
    """Compares the classes that two models predict of the same images, by the exact test of McNemar (1947).

    Raises `ValueError` where the three differ in length, or are empty.
    """
    truth, one, two = (np.asarray(values) for values in (labels, first, second))
    if not (truth.ndim == 1 and len(truth) and truth.shape == one.shape == two.shape):
        raise ValueError(f"labels {truth.shape}, first {one.shape}, second {two.shape}; one each for every image")
    right, also = one == truth, two == truth
    counts = [int(np.sum(a & b)) for a, b in ((right, also), (right, ~also), (~right, also), (~right, ~also))]
    both, only_first, only_second, neither = counts
    test = mcnemar([[both, only_first], [only_second, neither]], exact=True)
    return ImageComparison(len(truth), both, only_first, only_second, float(test.pvalue))
