"""The share of a known warp that an STN undoes."""

from __future__ import annotations

import torch
from torch import Tensor

from tivae.data import warps
from tivae.evaluation import losses
from tivae.evaluation.measure import measure
from tivae.evaluation.subject import Subject
from tivae.metric import Metric


@measure(
    *(
        Metric(f"stn_residual_{name}", "mean absolute size of what is left of a warp after the STN", unit, low=0)
        for name, unit in (("rotation_degrees", "degrees"), ("shift_pixels", "pixels"), ("log_scale", "log"))
    ),
    *(
        Metric(
            f"stn_undone_{name}", f"share of the {name} that the STN undoes; negative where it adds", "share", high=1
        )
        for name in ("rotation", "shift", "scale")
    ),
    needs_stn=True,
)
@torch.no_grad()
def measured(subject: Subject) -> dict[str, float]:
    """The residual of random warps of the augmentation after the STN."""
    stn, parameters = subject.front, next(subject.random_warps())
    assert stn is not None
    size = subject.config.images.size
    own = warps.sampling_matrices(parameters, size)
    warped, base = subject.data.warped_test(parameters), subject.data.base_test()
    on_warped = torch.cat([stn.matrices(batch).cpu() for batch in warped.batches(losses.BATCH_SIZE)])
    on_base = torch.cat([stn.matrices(batch).cpu() for batch in base.batches(losses.BATCH_SIZE)])
    left = sizes(residuals(on_warped, on_base, own), size)
    shares = undone(left, sizes(own, size))
    names = {"rotation_degrees": "rotation", "shift_pixels": "shift", "log_scale": "scale"}
    columns = {f"stn_residual_{name}": value for name, value in left.items()}
    return columns | {f"stn_undone_{names[name]}": value for name, value in shares.items()}


def residuals(on_warped: Tensor, on_base: Tensor, undone_warps: Tensor) -> Tensor:
    """(N, 2, 3) matrices of what is left between the STN's outputs for an image and for its warped copy.

    on_warped, on_base: the STN's matrices for both; undone_warps: the warps' own sampling matrices. The identity where
    both outputs are the same picture, so that a habit of the STN (of turning all images, say) is no residual; without
    an STN it is the warp's own sampling matrix. In normalised coordinates (see `tivae.data.warps`).

    Raises `DegenerateWarp` if one of `on_base` has no inverse.
    """
    warps.check_invertible(on_base)
    return warps.compose(warps.inverse(on_base), warps.compose(undone_warps, on_warped))


def sizes(matrices: Tensor, image_size: int) -> dict[str, float]:
    """Means over images of the absolute size of each part of `matrices` (N, 2, 3); all are 0 for the identity.

    rotation_degrees: |angle| of the nearest rotation (atan2(c - b, a + d) of [[a, b], [c, d]]), in [0, 180];
    shift_pixels: length of the shift, of images `image_size` pixels wide; log_scale: |log of the square root of
    |determinant||, natural logarithm.
    """
    matrices = matrices.double()
    (a, b), (c, d) = (matrices[:, row, :2].unbind(1) for row in range(2))
    shift = matrices[:, :, 2] * (image_size / 2)
    log_scale = 0.5 * warps.determinants(matrices).abs().log()
    return {
        "rotation_degrees": float(torch.rad2deg(torch.atan2(c - b, a + d)).abs().mean()),
        "shift_pixels": float(shift.square().sum(1).sqrt().mean()),
        "log_scale": float(log_scale.abs().mean()),
    }


def undone(left: dict[str, float], applied: dict[str, float]) -> dict[str, float]:
    """1 - left / applied for each part: 1 where all of it is undone, 0 where nothing, negative where it has grown.

    NaN for a part that was not applied.
    """
    return {name: 1 - left[name] / size if size > 0 else float("nan") for name, size in applied.items()}
