"""The test images that each trial classifies correctly, read once."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.frames.study import Study

Scores = NDArray[np.float64]
_KNOWN = ("base_accuracy", "augmented_accuracy")


class Correctness(Protocol):
    """The values per test image whose mean is a trial's metric; None if they are not known."""

    def of(self, key: str, metric: str) -> Scores | None:
        """(N,), 0 or 1 for an accuracy."""


class FromPredictions:
    """Correctness for the two accuracies, from each trial's stored predictions."""

    def __init__(self, study: Study):
        self._study = study
        self._read: dict[str, dict[str, NDArray[np.bool_]] | None] = {}

    def of(self, key: str, metric: str) -> Scores | None:
        """(N,), 1 where the image is classified correctly."""
        if metric not in _KNOWN:
            return None
        if key not in self._read:
            self._read[key] = self._right(key)
        found = self._read[key]
        return None if found is None else found[metric].astype(np.float64)

    def _right(self, key: str) -> dict[str, NDArray[np.bool_]] | None:
        try:
            predictions = self._study.trial(key).predictions()
        except ValueError:
            return None
        labels = predictions["label"].to_numpy()
        return {metric: predictions[metric.removesuffix("_accuracy")].to_numpy() == labels for metric in _KNOWN}


def stacked(keys: Sequence[str], metric: str, scores: Correctness) -> Scores | None:
    """(S, N), a row per trial; None if one is not known, or they are of different images."""
    rows = [scores.of(key, metric) for key in keys]
    known = [row for row in rows if row is not None]
    if not known or len(known) < len(rows) or len({len(row) for row in known}) > 1:
        return None
    return np.stack(known)


@functools.lru_cache(maxsize=2)
def correctness_of(study: Study) -> FromPredictions:
    """Correctness of a study's trials; cached, as all tables and figures read the same files."""
    return FromPredictions(study)
