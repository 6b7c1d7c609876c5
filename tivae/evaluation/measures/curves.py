"""Accuracy against the size of a single warp, over a wider range than in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from tivae.data.warps import WarpParameters
from tivae.evaluation.measure import measure
from tivae.evaluation.subject import Subject
from tivae.metric import share

# The same for all trials, so that curves can be compared: three times the paper's rotations, twice its shifts and
# scales.
GRIDS: dict[str, tuple[float, ...]] = {
    "rotation_degrees": (-30, -20, -15, -10, -5, 0, 5, 10, 15, 20, 30),
    "shift_pixels": (0, 1, 2, 3, 4, 6, 8),
    "scale": (0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4),
}
_NAMES = {"rotation_degrees": "rotation", "shift_pixels": "shift", "scale": "scale"}
_UNWARPED = {"rotation_degrees": 0.0, "shift_pixels": 0.0, "scale": 1.0}


@measure(*(share(f"{name}_accuracy_area", f"mean accuracy over a range of {name}") for name in _NAMES.values()))
def measured(subject: Subject) -> dict[str, float]:
    """The areas under the curves, which are left in the subject's details."""

    def accuracy(parameters: WarpParameters) -> float:
        encodings = subject.encodings(subject.data.warped_test(parameters))
        return subject.probe.accuracy(encodings, subject.labels)

    found = curves(accuracy, len(subject.labels))
    subject.details["curves"] = found
    return {f"{_NAMES[warp]}_accuracy_area": area(curve["values"], curve["accuracy"]) for warp, curve in found.items()}


def curves(accuracy: Callable[[WarpParameters], float], count: int) -> dict[str, dict[str, list[float]]]:
    """For each kind of warp its `values` and the `accuracy` there, shares in [0, 1].

    accuracy: the share of `count` images classified correctly under one warp each. Rotations turn all images alike;
    shifts move every fourth image right, down, left and up.
    """
    unwarped = accuracy(warp_of("scale", 1.0, count))
    found = {}
    for warp, values in GRIDS.items():
        measured = [unwarped if value == _UNWARPED[warp] else accuracy(warp_of(warp, value, count)) for value in values]
        found[warp] = {"values": [float(value) for value in values], "accuracy": measured}
    return found


def area(values: Sequence[float], accuracy: Sequence[float]) -> float:
    """Mean accuracy over the range of `values`, by the trapezoidal rule: the area under the curve over its width.

    A share in [0, 1]; the constant accuracy a has area a.
    """
    return float(np.trapezoid(accuracy, values) / (values[-1] - values[0]))


def warp_of(warp: str, value: float, count: int) -> WarpParameters:
    """The warp of `warp` and size `value` for each of `count` images."""
    zeros = torch.zeros(count)
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])[torch.arange(count) % 4]
    shift: Tensor = directions * (value if warp == "shift_pixels" else 0.0)
    return WarpParameters(
        rotation_degrees=zeros + (value if warp == "rotation_degrees" else 0.0),
        shift_x_pixels=shift[:, 0],
        shift_y_pixels=shift[:, 1],
        scale=zeros + (value if warp == "scale" else 1.0),
    )
