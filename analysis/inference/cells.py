"""Mean, standard deviation and interval of each cell: over its seeds and test images, or over one of the two."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd

from analysis.frames.columns import config_names
from analysis.frames.image_sets import images_of
from analysis.inference.correctness import Correctness, stacked
from analysis.inference.crossed import at_most, estimate, summarise
from analysis.inference.intervals import Summary, accuracy_interval


def cell_summaries(
    trials: pd.DataFrame,
    by: Sequence[str] = ("train_dataset", "model", "stn"),
    metrics: Sequence[str] = ("base_accuracy", "augmented_accuracy"),
    scores: Correctness | None = None,
) -> pd.DataFrame:
    """A row per cell and metric of the finished trials: n, mean, sd, low, high, confidence, method, over, seeds.

    The intervals of accuracies are over seeds and test images (wider where `scores`, of each test image, are not
    given), of one seed over test images; those of other metrics over seeds, with one seed none. `over` says so. seeds:
    the value of each seed, in order, as one text.

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
                summary = summary_of(values, metric, group, scores)
                interval = dataclasses.asdict(summary.interval).values()
                ordered = group.sort_values("seed") if "seed" in group else group
                by_seed = " ".join(f"{value:.6g}" for value in ordered[metric].dropna())
                rows.append([*cell, metric, summary.n, summary.mean, summary.sd, *interval, by_seed])
    interval_names = ["low", "high", "confidence", "method", "over", "seeds"]
    return pd.DataFrame(rows, columns=[*by, "metric", "n", "mean", "sd", *interval_names])


def summary_of(values: pd.Series, metric: str, trials: pd.DataFrame, scores: Correctness | None = None) -> Summary:
    """As `summarise`; accuracies get their interval over seeds and test images, of one seed over test images."""
    summary = summarise(values)
    if "accuracy" not in metric:
        return summary
    images = int(images_of(trials.loc[values.index[:1]], "test_images").iloc[0])
    if summary.n == 1:
        return dataclasses.replace(summary, interval=accuracy_interval(summary.mean, images))
    known = None if scores is None else stacked(list(trials.loc[values.index, "key"]), metric, scores)
    found = at_most(values, images) if known is None else estimate(known)
    return dataclasses.replace(summary, interval=found.interval())


def check_alike(trials: pd.DataFrame, cell: str) -> None:
    """Raises `ValueError` where `trials` differ in a config field other than the seed, or repeat a seed."""
    for name in config_names(trials):
        if name != "seed" and len(trials[name].unique()) > 1:
            found = ", ".join(map(str, trials[name].unique()[:4]))
            raise ValueError(f"the cell {cell} mixes trials with {name} {found}; add `{name}` to `by`, or filter")
    if "seed" in trials.columns and trials["seed"].duplicated().any():
        raise ValueError(f"the cell {cell} holds a seed twice; give each trial once")
