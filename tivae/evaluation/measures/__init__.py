"""Measures of invariance: how predictions and encodings change when images are warped.

`standard` costs about 4 % of the paper's trial on a CPU, `all` about 6 %; the whole test set is used, and every trial
with the same warp settings meets the same warps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from tivae.config import TrialConfig
from tivae.data import warps
from tivae.data.datasets import TEST_SET_SEED, TrialData
from tivae.data.randomness import generator
from tivae.data.warps import WarpParameters
from tivae.evaluation import losses
from tivae.evaluation.measures import canonicalisation, consistency, curves, equivariance, local_invariance
from tivae.evaluation.measures.subject import Subject
from tivae.evaluation.readout import Readout, fitted_on, probed_stn
from tivae.models import Model
from tivae.models.stn import SpatialTransformer

LEVELS = ("none", "standard", "all")
# Random warps of each image; the k of `worst_of_10_accuracy`.
WARPS = 10


@dataclass(frozen=True)
class Measured:
    """columns: figures for the trial's metrics; details: the curves behind them, None where nothing was measured."""

    columns: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] | None = None


def check_level(level: str) -> None:
    """Raises `ValueError` where `level` is none of `LEVELS`."""
    if level not in LEVELS:
        raise ValueError(f"`measures` is {level!r}; it must be {' or '.join(LEVELS)}")


def measure(
    config: TrialConfig,
    data: TrialData,
    model: Model,
    stn: SpatialTransformer | None,
    readout: Readout,
    level: str,
) -> Measured:
    """The measures of `level` on the test images: `standard` is all but the local invariance.

    Columns, each explained where it is computed:
    rotation_, shift_, scale_accuracy_area (`curves`); prediction_consistency, prediction_pair_consistency,
    worst_of_10_accuracy, latent_displacement, latent_displacement_within_class, within_between_class_ratio
    (`consistency`); rotation_, shift_x_, shift_y_, scale_r_squared (`equivariance`); with an STN
    stn_residual_* and stn_undone_* (`canonicalisation`); and local_sensitivity_* (`local_invariance`).

    Raises `DegenerateWarp` where an STN has collapsed.
    """
    check_level(level)
    if level == "none":
        return Measured()
    started = time.perf_counter()
    subject = Subject(config, data, model, probed_stn(config, stn), readout.probes[fitted_on("augmented", config)])
    unwarped = subject.encodings(data.base_test())
    columns = _consistency(subject, unwarped) | _equivariance(subject)
    found, areas = _curves(subject)
    columns |= areas
    if stn is not None:
        columns |= _canonicalisation(subject, stn)
    if level == "all":
        columns |= _local_invariance(subject, unwarped)
    details = {"format": 1, "level": level, "wall_seconds": time.perf_counter() - started, "curves": found}
    return Measured(columns, details)


def _consistency(subject: Subject, unwarped: np.ndarray) -> dict[str, Any]:
    shifts, predictions = [], []
    for parameters in _random_warps(subject):
        warped = subject.encodings(subject.data.warped_test(parameters))
        shifts.append(consistency.squared_shift(unwarped, warped))
        predictions.append(subject.probe.predict(warped))
    classes, labels = np.stack(predictions), subject.labels
    return {
        "prediction_consistency": consistency.prediction_consistency(subject.probe.predict(unwarped), classes),
        "prediction_pair_consistency": consistency.pair_consistency(classes),
        f"worst_of_{WARPS}_accuracy": consistency.worst_case_accuracy(classes, labels),
        "latent_displacement": consistency.displacement(shifts, unwarped),
        "latent_displacement_within_class": consistency.displacement_within_class(shifts, unwarped, labels),
        "within_between_class_ratio": consistency.within_between_ratio(unwarped, labels),
    }


def _curves(subject: Subject) -> tuple[dict[str, Any], dict[str, float]]:
    def accuracy(parameters: WarpParameters) -> float:
        encodings = subject.encodings(subject.data.warped_test(parameters))
        return subject.probe.accuracy(encodings, subject.labels)

    found = curves.curves(accuracy, len(subject.labels))
    names = {"rotation_degrees": "rotation", "shift_pixels": "shift", "scale": "scale"}
    areas = {
        f"{names[kind]}_accuracy_area": curves.area(curve["values"], curve["accuracy"]) for kind, curve in found.items()
    }
    return found, areas


def _equivariance(subject: Subject) -> dict[str, float]:
    # Every warp is present in every image: half of them at zero would leave less to read.
    always = replace(subject.config, warp_probability=1.0)
    parameters = warps.draw(len(subject.labels), always, generator(TEST_SET_SEED, "warps to be read"))
    encodings = subject.encodings(subject.data.warped_test(parameters))
    targets = {
        "rotation": parameters.rotation_degrees,
        "shift_x": parameters.shift_x_pixels,
        "shift_y": parameters.shift_y_pixels,
        "scale": parameters.scale,
    }
    found = equivariance.r_squared(encodings, torch.stack(list(targets.values()), dim=1).numpy())
    return {f"{name}_r_squared": float(value) for name, value in zip(targets, found, strict=True)}


@torch.no_grad()
def _canonicalisation(subject: Subject, stn: SpatialTransformer) -> dict[str, float]:
    parameters = next(_random_warps(subject))
    size = subject.config.images.size
    own = warps.sampling_matrices(parameters, size)
    warped, base = subject.data.warped_test(parameters), subject.data.base_test()
    on_warped = torch.cat([stn.matrices(batch).cpu() for batch in warped.batches(losses.BATCH_SIZE)])
    on_base = torch.cat([stn.matrices(batch).cpu() for batch in base.batches(losses.BATCH_SIZE)])
    left = canonicalisation.sizes(canonicalisation.residuals(on_warped, on_base, own), size)
    shares = canonicalisation.undone(left, canonicalisation.sizes(own, size))
    names = {"rotation_degrees": "rotation", "shift_pixels": "shift", "log_scale": "scale"}
    columns = {f"stn_residual_{name}": value for name, value in left.items()}
    return columns | {f"stn_undone_{names[name]}": value for name, value in shares.items()}


def _local_invariance(subject: Subject, unwarped: np.ndarray) -> dict[str, float | None]:
    if not subject.is_smooth:
        return {f"local_sensitivity_{name}": None for name in local_invariance.GENERATORS}
    batches = subject.data.base_test().batches(losses.BATCH_SIZE)
    outside = subject.config.standardisation.outside(subject.config.fill)
    speeds = local_invariance.squared_speeds(subject.encode, batches, outside)
    distance = consistency.pair_distance(unwarped)
    return {
        f"local_sensitivity_{name}": local_invariance.sensitivity(speed, distance) for name, speed in speeds.items()
    }


def _random_warps(subject: Subject) -> Iterator[WarpParameters]:
    """`WARPS` times a random warp of the augmentation for each test image."""
    for number in range(WARPS):
        source = generator(TEST_SET_SEED, f"measured warps {number}")
        yield warps.draw(len(subject.labels), subject.config, source)
