"""Sensitivity of an encoding to infinitesimal rotation, shift and scale of its image."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional

from tivae.evaluation import losses
from tivae.evaluation.measure import measure
from tivae.evaluation.measures.consistency import pair_distance
from tivae.evaluation.subject import Subject
from tivae.metric import Metric

_UNITS = {"rotation": "degree", "shift_x": "pixel", "shift_y": "pixel", "scale": "unit of scale"}
GENERATORS = tuple(_UNITS)


@measure(
    *(
        Metric(f"local_sensitivity_{name}", "speed of the encoding over its distances", f"per {unit}", low=0)
        for name, unit in _UNITS.items()
    ),
    standard=False,
)
def measured(subject: Subject) -> dict[str, float | None]:
    """The speed of the encoding as each test image begins to turn, shift or grow; None without a derivative."""
    if not subject.is_smooth:
        return {f"local_sensitivity_{name}": None for name in GENERATORS}
    batches = subject.data.base_test().batches(losses.BATCH_SIZE)
    outside = subject.config.standardisation.outside(subject.config.fill)
    speeds = squared_speeds(subject.encode, batches, outside)
    distance = pair_distance(subject.unwarped)
    return {f"local_sensitivity_{name}": sensitivity(speed, distance) for name, speed in speeds.items()}


@torch.no_grad()
def squared_speeds(encode: Callable[[Tensor], Tensor], batches: Iterable[Tensor], fill: float) -> dict[str, float]:
    """Mean over images of ||d/de f(T_e x)||^2 at e = 0 for each generator T, by forward-mode differentiation.

    The Lie derivative of f along the generator (Gruver et al. 2023). Units: squared encoding units per degree^2, per
    pixel^2 and per (unit of scale)^2; at least 0.
    """
    totals, count = dict.fromkeys(GENERATORS, 0.0), 0
    with warnings.catch_warnings():
        # Forward-mode formulas of some torch versions are compiled by torch's own deprecated torch.jit.script.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        for batch in batches:
            count += len(batch)
            for name, tangent in tangents(batch, fill).items():
                speed = torch.func.jvp(encode, (batch,), (tangent,))[1]
                totals[name] += float(speed.cpu().double().square().sum())
    return {name: total / count for name, total in totals.items()}


def sensitivity(squared_speed: float, pair_distance: float) -> float:
    """sqrt(E ||d/de f(T_e x)||^2 / E ||f(x) - f(x')||^2): 0 for an invariant encoder, no upper bound.

    Per degree, pixel or unit of scale: 0.1 says that ten of them would move an image, at this speed, as far as another
    image is. Blind to the encodings' scale; NaN if all encodings are equal.
    """
    return math.sqrt(squared_speed / pair_distance) if pair_distance > 1e-20 else math.nan


def tangents(images: Tensor, fill: float) -> dict[str, Tensor]:
    """The derivative at e = 0 of `images` (B, 1, H, W) turned by e degrees, shifted by e pixels, or grown by 1 + e.

    -(gradient . d/de T_e p), as a warped image is x(T_e^-1 p). The gradient is the central difference, `fill` outside:
    a bilinear warp has a kink just at e = 0, and this is the mean of its two sides.
    """
    padded = functional.pad(images - fill, (1, 1, 1, 1))
    gradient_x = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    gradient_y = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    height, width = images.shape[2:]
    x = torch.arange(width, device=images.device, dtype=images.dtype) - (width - 1) / 2
    y = (torch.arange(height, device=images.device, dtype=images.dtype) - (height - 1) / 2)[:, None]
    return {
        "rotation": -(gradient_y * x - gradient_x * y) * (math.pi / 180),
        "shift_x": -gradient_x,
        "shift_y": -gradient_y,
        "scale": -(gradient_x * x + gradient_y * y),
    }
