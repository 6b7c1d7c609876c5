"""Model input and reconstruction target of a batch, in each STN mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from tivae.models.stn import SpatialTransformer


@dataclass(frozen=True)
class ModelInput:
    """One batch for a model; all images are standardised (B, 1, H, W).

    seen: the model's input; target: what the reconstruction is compared with; restore: maps the
    reconstruction into the frame of the target, where it is in another.
    """

    seen: Tensor
    target: Tensor
    restore: Callable[[Tensor], Tensor] | None = None


Transform = Callable[[Tensor], ModelInput]


def plain(images: Tensor) -> ModelInput:
    """The model sees, and reconstructs, the images themselves."""
    return ModelInput(images, images)


def through_stn(stn: SpatialTransformer) -> Transform:
    """The model sees, and reconstructs, the STN's output (the paper's arrangement)."""

    def transform(images: Tensor) -> ModelInput:
        seen = stn(images)
        return ModelInput(seen, seen)

    return transform


def through_stn_and_back(stn: SpatialTransformer) -> Transform:
    """The model sees the STN's output; its reconstruction is warped back and compared with the STN's input.

    Calling it raises `DegenerateWarp` where a warp of the STN has no inverse.
    """

    def transform(images: Tensor) -> ModelInput:
        matrices = stn.matrices(images)
        return ModelInput(stn.apply_matrices(images, matrices), images, lambda decoded: stn.undo(decoded, matrices))

    return transform


def transform_of(mode: str, stn: SpatialTransformer | None) -> Transform:
    """The transform of a model in the STN mode `mode`."""
    if stn is None:
        return plain
    return through_stn_and_back(stn) if mode == "inverse" else through_stn(stn)
