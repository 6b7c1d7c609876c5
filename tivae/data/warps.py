"""Random affine warps of whole batches: one composed matrix and one interpolation per image.

Coordinates are torchvision's: pixels, origin in the centre of the image, x to the right, y downwards. A warp
moves a point p of the image to

    p' = scale * R(rotation) p + shift,     R(a) = [[cos a, -sin a], [sin a, cos a]]

so that a positive rotation turns the picture clockwise on the screen, a positive shift moves it right and
down, and scale and rotation act about the centre, before the shift.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tivae import precision
from tivae.config import TrialConfig
from tivae.data import sampling

# A warp that keeps less than this share of its frame cannot be undone in single precision.
LEAST_DETERMINANT = 1e-8


class DegenerateWarp(ValueError):
    """A warp that cannot be undone."""


@dataclass(frozen=True, kw_only=True)
class WarpParameters:
    """One warp per image; all tensors are float32 of shape (N,) on one device."""

    rotation_degrees: Tensor
    shift_x_pixels: Tensor
    shift_y_pixels: Tensor
    scale: Tensor

    def __len__(self) -> int:
        return len(self.scale)


def draw(count: int, config: TrialConfig, source: torch.Generator) -> WarpParameters:
    """`count` random warps; rotation, shift and scale are each present with `warp_probability`, independently."""
    uniform = torch.rand(4, count, generator=source, device=source.device) * 2 - 1
    present = torch.rand(3, count, generator=source, device=source.device) < config.warp_probability
    shifts = uniform[1:3] * config.shift_pixels
    if config.whole_pixel_shifts:
        shifts = shifts.round()
    return WarpParameters(
        rotation_degrees=uniform[0] * config.rotation_degrees * present[0],
        shift_x_pixels=shifts[0] * present[1],
        shift_y_pixels=shifts[1] * present[1],
        scale=1 + uniform[3] * config.scale_range * present[2],
    )


def sampling_matrices(warps: WarpParameters, size: int) -> Tensor:
    """(N, 2, 3) float32 matrices from output to input coordinates, as `affine_grid` wants them.

    This is the inverse of the module's formula, p = R(-rotation) (p' - shift) / scale, in torch's normalised
    coordinates (-1 to 1 from edge to edge, `align_corners=False`) of a square image of `size` pixels.
    """
    angle = torch.deg2rad(warps.rotation_degrees)
    cosine, sine = torch.cos(angle) / warps.scale, torch.sin(angle) / warps.scale
    shift_x, shift_y = warps.shift_x_pixels * 2 / size, warps.shift_y_pixels * 2 / size
    first = torch.stack([cosine, sine, -(cosine * shift_x + sine * shift_y)], dim=1)
    second = torch.stack([-sine, cosine, sine * shift_x - cosine * shift_y], dim=1)
    return torch.stack([first, second], dim=1)


def parameters(matrices: Tensor, size: int) -> WarpParameters:
    """The inverse of `sampling_matrices`."""
    (cosine, sine, x), (_, _, y) = (matrices[:, row].unbind(1) for row in range(2))
    scale = (cosine.square() + sine.square()).rsqrt()
    # The third column is -R(-rotation) shift / scale.
    squared = scale.square()
    return WarpParameters(
        rotation_degrees=torch.rad2deg(torch.atan2(sine, cosine)),
        shift_x_pixels=-squared * (cosine * x - sine * y) * size / 2,
        shift_y_pixels=-squared * (sine * x + cosine * y) * size / 2,
        scale=scale,
    )


def shares_of_range(drawn: WarpParameters, config: TrialConfig) -> Tensor:
    """(N, 4): rotation, shift along x and y, and scale - 1, each over its range in `config`; 0 where that is 0."""
    values = (drawn.rotation_degrees, drawn.shift_x_pixels, drawn.shift_y_pixels, drawn.scale - 1)
    shares = (value / most if most else value * 0 for value, most in zip(values, ranges(config), strict=True))
    return torch.stack(list(shares), dim=1)


def ranges(config: TrialConfig) -> tuple[float, float, float, float]:
    """The largest rotation, shift along x and y, and scale - 1, in the units of `WarpParameters`."""
    return config.rotation_degrees, config.shift_pixels, config.shift_pixels, config.scale_range


def warp(images: Tensor, matrices: Tensor, *, interpolation: str = "bilinear", fill: float = 0.0) -> Tensor:
    """`images` (N, C, H, W) resampled at `matrices` (N, 2, 3); `fill` is the value outside the frame.

    Differentiable in both, except in `matrices` for `interpolation="nearest"`.
    """
    with precision.exact(images.device):
        grid = sampling_grid(matrices, *images.shape[2:])
        # Outside the frame is read as zero: shifting the values by `fill` makes that the padding.
        return sampling.sample(images - fill, grid, interpolation) + fill


def warp_successively(
    images: Tensor, matrices: Tensor, *, interpolation: str = "bilinear", fill: float = 0.0
) -> Tensor:
    """As `warp` of square images by rotation, scale and shift, each resampled by itself as in torchvision's pipelines.

    In this order the geometry is that of `matrices`; what differs is the blur, and what left the frame in between.
    """
    size = images.shape[-1]
    drawn = parameters(matrices, size)
    none, one = torch.zeros_like(drawn.scale), torch.ones_like(drawn.scale)
    rest = WarpParameters(rotation_degrees=none, shift_x_pixels=none, shift_y_pixels=none, scale=one)
    steps = (
        replace(rest, rotation_degrees=drawn.rotation_degrees),
        replace(rest, scale=drawn.scale),
        replace(rest, shift_x_pixels=drawn.shift_x_pixels, shift_y_pixels=drawn.shift_y_pixels),
    )
    for step in steps:
        images = warp(images, sampling_matrices(step, size), interpolation=interpolation, fill=fill)
    return images


def with_corners(matrices: Tensor, size: int, *, in_grid: bool, in_sample: bool) -> Tensor:
    """The sampling matrices that read where torch does with these `align_corners` of `affine_grid` and `grid_sample`.

    `affine_grid` then has output pixels from -1 to 1 between their outer centres, which stretches them by
    size / (size - 1); `grid_sample` takes -1 and 1 for the outer centres of the input, which shrinks what it is given
    by the inverse.
    """
    stretch = size / (size - 1)
    linear, shift = matrices[:, :, :2], matrices[:, :, 2:]
    if in_grid:
        linear = linear * stretch
    if in_sample:
        linear, shift = linear / stretch, shift / stretch
    return torch.cat([linear, shift], dim=2)


def sampling_grid(matrices: Tensor, height: int, width: int) -> Tensor:
    """Where each output pixel is read, (N, height, width, 2): as `affine_grid`, which costs more on a CPU."""
    # The middles of pixels that together reach from -1 to 1.
    counts = (torch.arange(count, dtype=matrices.dtype, device=matrices.device) for count in (width, height))
    x, y = ((2 * pixels + 1) / len(pixels) - 1 for pixels in counts)
    rows = torch.addcmul(matrices[:, None, :, 2], matrices[:, None, :, 1], y[:, None])
    return torch.addcmul(rows[:, :, None], matrices[:, None, None, :, 0], x[:, None])


def determinants(matrices: Tensor) -> Tensor:
    """The area of input per area of output (N,) of matrices (N, 2, 3): above 1 shrinks the picture."""
    return matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0]


def inverse(matrices: Tensor) -> Tensor:
    """(N, 2, 3) matrices that undo `matrices`, A^-1 (p - t) for A p + t; not finite where there is no inverse."""
    (a, b, x), (c, d, y) = (matrices[:, row].unbind(1) for row in range(2))
    first = torch.stack([d, -b, b * y - d * x], dim=1)
    second = torch.stack([-c, a, c * x - a * y], dim=1)
    return torch.stack([first, second], dim=1) / determinants(matrices)[:, None, None]


def check_invertible(matrices: Tensor) -> None:
    """Raises `DegenerateWarp` where one of `matrices` is not finite, or its determinant is below 1e-8 in size."""
    finite = torch.isfinite(matrices).all(dim=2).all(dim=1)
    bad = ~(finite & (determinants(matrices).abs() >= LEAST_DETERMINANT))
    if bad.any():
        raise DegenerateWarp(
            f"{int(bad.sum())} of {len(bad)} warps have no inverse (their determinant is below {LEAST_DETERMINANT:g} "
            "or not finite): the spatial transformer has collapsed"
        )


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """(N, 2, 3) matrices of p -> outer(inner(p))."""
    linear = outer[:, :, :2] @ inner
    return torch.cat([linear[:, :, :2], linear[:, :, 2:] + outer[:, :, 2:]], dim=2)
