"""Scores of predicted classes and the calibration of their probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Classes that have a column of their own.
LISTED_CLASSES = 10
CALIBRATION_BINS = 15


def scores(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, float | None]:
    """`accuracy_class_0` to `accuracy_class_9`, and `balanced_accuracy`, the mean over all classes; shares in [0, 1].

    The accuracy of a class is the share of its images that are given it (its recall); None if it has no image,
    and such a class does not count in the mean.
    """
    by_class = {int(label): float((predicted[labels == label] == label).mean()) for label in np.unique(labels)}
    found: dict[str, float | None] = {"balanced_accuracy": float(np.mean(list(by_class.values())))}
    return found | {f"accuracy_class_{label}": by_class.get(label) for label in range(LISTED_CLASSES)}


def log_loss(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean of -log p(label), in nats per image, at least 0; `labels` count the columns of `probabilities` (N, C)."""
    given = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(given, np.finfo(np.float64).tiny)).mean())


def calibration_error(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Expected calibration error in [0, 1] (Guo et al. 2017, equation 3): 0 where confidence is honest.

    Sum over 15 bins of the confidence, of equal width, of share of images * |accuracy - mean confidence| in the bin;
    the confidence is the probability of the predicted class.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))
