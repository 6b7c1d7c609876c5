"""How well the warp of an image can be decoded from its encoding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tivae.data import warps
from tivae.data.datasets import TEST_SET_SEED
from tivae.data.randomness import generator
from tivae.evaluation.measure import measure
from tivae.evaluation.subject import Subject
from tivae.metric import Metric

RIDGE_PENALTIES = tuple(10.0**power for power in range(6))


@measure(
    *(
        Metric(f"{name}_r_squared", f"of {name} read linearly from the encoding; 1 is exact", high=1)
        for name in ("rotation", "shift_x", "shift_y", "scale")
    )
)
def measured(subject: Subject) -> dict[str, float]:
    """How well a random warp of each test image can be read from its encoding."""
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
    found = r_squared(encodings, torch.stack(list(targets.values()), dim=1).numpy())
    return {f"{name}_r_squared": float(value) for name, value in zip(targets, found, strict=True)}


def r_squared(encodings: NDArray[np.floating], parameters: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 - sum (y - y')^2 / sum (y - m)^2 over held-out images, of each column of `parameters` (N, P); (P,).

    m is the mean of y over the fitted images. y' is read from standardised `encodings` (N, D) by ridge regression
    fitted on every second image and scored on the others, with the penalty, 1 to 100,000, that is best for the
    parameter when each fitted image is left out in turn. At most 1, where the parameter can be read exactly; 0 or
    slightly less where nothing of it is in the encodings. NaN for a parameter that does not vary.
    """
    # Scikit-learn takes a second to import, which the process that schedules trials has no use for.
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    fitted, held_out = slice(0, None, 2), slice(1, None, 2)
    scaled = StandardScaler().fit_transform(encodings.astype(np.float64))
    with threadpool_limits(1):
        model = RidgeCV(RIDGE_PENALTIES, alpha_per_target=True).fit(scaled[fitted], parameters[fitted])
        error = np.square(parameters[held_out] - model.predict(scaled[held_out])).sum(axis=0)
    # Against the mean of the fitted half, which is all that a reader without encodings would know.
    spread = np.square(parameters[held_out] - parameters[fitted].mean(axis=0)).sum(axis=0)
    return np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), np.nan)
