"""Studies whose trials classify drawn images: seeds, a seed's shared STN and images all bring their variance."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import analysis
from tests.analysis.synthetic import grid, write_study

METRICS = ("base_accuracy", "augmented_accuracy")


class Drawn:
    """Which images each trial classifies correctly, by key and metric."""

    def __init__(self, right: dict[tuple[str, str], NDArray[np.float64]]):
        self._right = right

    def of(self, key: str, metric: str) -> NDArray[np.float64] | None:
        return self._right.get((key, metric))


@functools.cache
def _grid(seeds: int) -> analysis.Study:
    with tempfile.TemporaryDirectory() as folder:
        return analysis.load(write_study(Path(folder), grid(seeds=seeds, epochs=1)))


def drawn_study(
    source: np.random.Generator,
    seeds: int,
    images: int,
    *,
    of_trial: float = 0.01,
    of_stn: float = 0.0,
    **effects: float,
) -> tuple[analysis.Study, Drawn]:
    """A study of the paper's grid, and what its trials get right. Both test sets are drawn alike and independently.

    of_trial, of_stn: standard deviations of a trial's accuracy, and of what all cells behind a seed's STN share.
    effects: of the second level of `model`, `stn`, `train_dataset`, as a share.
    """
    study = _grid(seeds)
    trials = study.trials.copy()
    second = {"model": "categorical_vae", "stn": "pretrained", "train_dataset": "augmented"}
    shift = sum(effects.get(name, 0.0) * (trials[name] == level).to_numpy(float) for name, level in second.items())
    behind = (trials["stn"] == "pretrained").to_numpy(float)
    right = {}
    for metric in METRICS:
        stns = source.normal(0, of_stn, seeds)[trials["seed"].to_numpy(int)] * behind
        share = 0.7 + shift + stns + source.normal(0, of_trial, len(trials))
        hard = source.normal(0, 0.15, images)
        found = source.random((len(trials), images)) < np.clip(share[:, None] + hard, 0, 1)
        trials[metric] = found.mean(axis=1)
        right |= {(key, metric): row.astype(float) for key, row in zip(trials["key"], found, strict=True)}
    return analysis.Study(trials, study.epochs, study.folders), Drawn(right)
