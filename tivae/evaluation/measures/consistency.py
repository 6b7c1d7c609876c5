"""Consistency of predictions and encodings under random warps of the augmentation.

All functions take arrays: predictions int64 (N,) of the images as they are and (K, N) of their K warps; encodings
(N, D) likewise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tivae.evaluation.measure import measure
from tivae.evaluation.subject import WARPS, Subject
from tivae.metric import Metric, share

Predictions = NDArray[np.int64]
Encodings = NDArray[np.floating]


@measure(
    share("prediction_consistency", "predictions that survive a random warp"),
    share("prediction_pair_consistency", "pairs of random warps with one prediction"),
    share(f"worst_of_{WARPS}_accuracy", f"images classified correctly under all of {WARPS} random warps"),
    Metric("latent_displacement", "squared shift of the encoding under a warp over that to another image", low=0),
    Metric("latent_displacement_within_class", "the same relative to images of one class", low=0),
    Metric("within_between_class_ratio", "squared distance within a class over that between classes", low=0),
)
def measured(subject: Subject) -> dict[str, float]:
    """Consistency of predictions and encodings under random warps of the augmentation."""
    shifts, predictions = [], []
    for parameters in subject.random_warps():
        warped = subject.encodings(subject.data.warped_test(parameters))
        shifts.append(squared_shift(subject.unwarped, warped))
        predictions.append(subject.probe.predict(warped))
    classes, labels, unwarped = np.stack(predictions), subject.labels, subject.unwarped
    return {
        "prediction_consistency": prediction_consistency(subject.probe.predict(unwarped), classes),
        "prediction_pair_consistency": pair_consistency(classes),
        f"worst_of_{WARPS}_accuracy": worst_case_accuracy(classes, labels),
        "latent_displacement": displacement(shifts, unwarped),
        "latent_displacement_within_class": displacement_within_class(shifts, unwarped, labels),
        "within_between_class_ratio": within_between_ratio(unwarped, labels),
    }


def prediction_consistency(unwarped: Predictions, warped: Predictions) -> float:
    """Mean over images and warps of [class(t x) = class(x)], a share in [0, 1]; 1 for an invariant classifier.

    Right and wrong classes count alike: a constant classifier has 1 as well, so read it beside the accuracy.
    """
    return float((warped == unwarped).mean())


def pair_consistency(warped: Predictions) -> float:
    """Mean over images and pairs of warps of [class(t x) = class(t' x)], a share in [0, 1] (Zhang 2019's consistency).

    None of a single warp makes a pair: NaN for K = 1.
    """
    count = len(warped)
    if count < 2:
        return float("nan")
    equal = sum(float((warped[i] == warped[i + 1 :]).sum()) for i in range(count - 1))
    return float(equal / (count * (count - 1) / 2 * warped.shape[1]))


def worst_case_accuracy(warped: Predictions, labels: Predictions) -> float:
    """The share in [0, 1] of images classified correctly under all K warps (Engstrom et al. 2019's worst-of-k)."""
    return float((warped == labels).all(axis=0).mean())


def squared_shift(unwarped: Encodings, warped: Encodings) -> float:
    """Mean over images of ||f(t x) - f(x)||^2 for one warp of each."""
    return float(np.square(warped.astype(np.float64) - unwarped).sum(axis=1).mean())


def displacement(squared_shifts: Sequence[float], unwarped: Encodings) -> float:
    """E ||f(t x) - f(x)||^2 / E ||f(x) - f(x')||^2 over warps t and pairs of different images x, x'; at least 0.

    0 for an invariant encoder, 1 where a warp moves an image as far as to another image. Scaling the encodings does
    not change it; where all encodings are equal there is nothing to compare with, and it is NaN.
    """
    return _ratio(float(np.mean(squared_shifts)), pair_distance(unwarped))


def displacement_within_class(squared_shifts: Sequence[float], unwarped: Encodings, labels: NDArray[np.int64]) -> float:
    """As `displacement`, relative to pairs of different images of one class: above 1, a warp moves an image further."""
    return _ratio(float(np.mean(squared_shifts)), within_class_distance(unwarped, labels))


def within_between_ratio(unwarped: Encodings, labels: NDArray[np.int64]) -> float:
    """E ||f(x) - f(x')||^2 of pairs within a class over that of pairs of different classes; at least 0, no unit.

    About 1 where classes mean nothing to the encoding, 0 where each class is one point.
    """
    count, whole = len(labels), pair_distance(unwarped)
    sizes = np.bincount(labels)
    within_pairs, pairs = float((sizes * (sizes - 1.0)).sum()), count * (count - 1.0)
    if pairs == within_pairs:
        return float("nan")
    within = within_class_distance(unwarped, labels)
    between = (whole * pairs - (within * within_pairs if within_pairs else 0.0)) / (pairs - within_pairs)
    return _ratio(within, between)


def pair_distance(encodings: Encodings) -> float:
    """Mean of ||f(x) - f(x')||^2 over all pairs of different images: twice the unbiased total variance."""
    if len(encodings) < 2:
        return float("nan")
    return 2 * float(encodings.astype(np.float64).var(axis=0, ddof=1).sum())


def within_class_distance(encodings: Encodings, labels: NDArray[np.int64]) -> float:
    """Mean of ||f(x) - f(x')||^2 over all pairs of different images with the same label; NaN if there are none."""
    total = pairs = 0.0
    for label in np.unique(labels):
        members = encodings[labels == label]
        if len(members) > 1:
            number = len(members) * (len(members) - 1.0)
            total += number * pair_distance(members)
            pairs += number
    return total / pairs if pairs else float("nan")


def _ratio(numerator: float, denominator: float) -> float:
    # Encodings that differ by rounding only are taken as equal.
    return numerator / denominator if denominator > 1e-20 else float("nan")
