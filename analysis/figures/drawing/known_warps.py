"""Single warps of known size, for curves against angle, shift and scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tivae.config import TrialConfig
from tivae.data import datasets, warps
from tivae.data.datasets import Dataset
from tivae.data.warps import WarpParameters


@dataclass(frozen=True)
class KnownWarp:
    """A warp by known amounts, up to two and a half times the range of the paper's augmentation."""

    name: str
    axis_label: str
    identity: float
    amounts: tuple[float, ...]

    def shown(self, amount: float) -> str:
        """The amount with its unit, such as "+5°", "−2 px" or "×0.5"."""
        signed = f"{amount:+g}".replace("-", "−") if amount else "0"
        return {"rotation": f"{signed}°", "shift_x": f"{signed} px", "scale": f"×{amount:g}"}[self.name]

    def trained_range(self, config: TrialConfig) -> tuple[float, float]:
        """Smallest and largest amount that the augmentation of `config` draws."""
        if self.name == "shift":
            return 0.0, config.shift_pixels
        half = {"rotation": config.rotation_degrees, "shift_x": config.shift_pixels, "scale": config.scale_range}
        return self.identity - half[self.name], self.identity + half[self.name]


KNOWN_WARPS = (
    KnownWarp("rotation", "Rotation (degrees)", 0.0, (-30, -20, -15, -10, -5, 0, 5, 10, 15, 20, 30)),
    KnownWarp("shift_x", "Shift to the right (pixels)", 0.0, (-8, -6, -4, -2, -1, 0, 1, 2, 4, 6, 8)),
    KnownWarp("scale", "Scale (factor)", 1.0, (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5)),
)
# Shifts in four directions, as a trial measures them itself: how far matters, not whereto.
SHIFT = KnownWarp("shift", "Shift (pixels)", 0.0, (0, 1, 2, 3, 4, 6, 8))
CURVE_WARPS = (KNOWN_WARPS[0], SHIFT, KNOWN_WARPS[2])


def warped(images: Tensor, warp: str, amount: float, config: TrialConfig) -> Dataset:
    """uint8 images (N, H, W), all warped by the same `amount` as the trial of `config` warps its own."""
    count, names = len(images), [known.name for known in KNOWN_WARPS]
    if warp not in names:
        raise ValueError(f"warp is {warp!r}; it must be one of {', '.join(names)}")
    parameters = WarpParameters(
        rotation_degrees=torch.full((count,), float(amount) if warp == "rotation" else 0.0),
        shift_x_pixels=torch.full((count,), float(amount) if warp == "shift_x" else 0.0),
        shift_y_pixels=torch.zeros(count),
        scale=torch.full((count,), float(amount) if warp == "scale" else 1.0),
    )
    matrices = warps.sampling_matrices(parameters, config.images.size)
    return datasets.warped(images, matrices, config)
