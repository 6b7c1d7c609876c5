"""Studies whose trials classify drawn images: seeds, a seed's shared STN and images all bring their variance."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import analysis
from tests.analysis.synthetic import grid, study_of

METRICS = ("base_accuracy", "augmented_accuracy")


class Drawn:
    """Which images each trial classifies correctly, by key and metric."""

    def __init__(self, right: dict[tuple[str, str], NDArray[np.float64]]):
        self._right = right

    def of(self, key: str, metric: str) -> NDArray[np.float64] | None:
        return self._right.get((key, metric))


@functools.cache
def grid_study(seeds: int) -> analysis.Study:
    """A study of the paper's grid, whose accuracies `drawn` gives."""
    with tempfile.TemporaryDirectory() as folder:
        return study_of(Path(folder), grid(seeds=seeds, epochs=1))


@functools.cache
def first_seeds(study: analysis.Study, seeds: int) -> analysis.Study:
    """The part of a study that its first seeds are."""
    return analysis.Study(study.trials[study.trials["seed"] < seeds], study.epochs, study.folders)


@functools.cache
def with_failures(study: analysis.Study) -> analysis.Study:
    """Every fifth trial failed, so that cells have other numbers of seeds."""
    trials = study.trials.copy()
    trials.loc[trials.index % 5 == 2, "status"] = "failed"
    return analysis.Study(trials, study.epochs, study.folders)


def drawn(
    source: np.random.Generator,
    study: analysis.Study,
    images: int,
    *,
    of_trial: float = 0.01,
    of_stn: float = 0.0,
    cost: float = 0.0,
    **effects: float,
) -> Drawn:
    """What the trials of a study get right. Both test sets are drawn alike and independently.

    of_trial, of_stn: standard deviations of a trial's accuracy, and of what all cells behind a seed's STN share.
    cost: by which all accuracies on augmented images are lower. effects: of the second level of `model`, `stn`,
    `train_dataset`. All are shares.
    """
    keys, second, seeds = _design(study)
    shift = sum(effects.get(name, 0.0) * has for name, has in second.items())
    right = {}
    for metric in METRICS:
        stns = source.normal(0, of_stn, seeds.max() + 1)[seeds] * second["stn"]
        share = 0.7 + shift + stns + source.normal(0, of_trial, len(keys)) - cost * metric.startswith("augmented")
        hard = source.normal(0, 0.15, images)
        found = source.random((len(keys), images)) < np.clip(share[:, None] + hard, 0, 1)
        right |= {(key, metric): row.astype(float) for key, row in zip(keys, found, strict=True)}
    return Drawn(right)


@functools.cache
def _design(study: analysis.Study) -> tuple[list[str], dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """Of each trial the key, whether it has the second level of each factor, and the seed."""
    second = {"model": "categorical_vae", "stn": "pretrained", "train_dataset": "augmented"}
    has = {name: (study.trials[name] == level).to_numpy(float) for name, level in second.items()}
    return study.trials["key"].tolist(), has, study.trials["seed"].to_numpy(int)
