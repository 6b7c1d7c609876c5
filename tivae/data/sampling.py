"""Reading images between their pixels: torch's `grid_sample`, or the same from gathers where a device lacks it."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional


def sample(images: Tensor, grid: Tensor, mode: str = "bilinear") -> Tensor:
    """`images` (N, C, H, W) read at `grid` (N, h, w, 2), zero outside the frame: (N, C, h, w).

    Grid points are (x, y) from -1 to 1 between the outer edges of the image (`align_corners=False`). mode: bilinear or
    nearest. The device's own operation where it has one, forwards and, for bilinear reading, backwards.
    """
    if mode == "bilinear" and not _is_native(images.device.type):
        return gathered(images, grid)
    return functional.grid_sample(images, grid, mode=mode, align_corners=False)


def gathered(images: Tensor, grid: Tensor) -> Tensor:
    """`sample` in bilinear mode, out of operations that every device has; equal in values and in gradients.

    On a pixel's very centre, where the gradient with respect to `grid` jumps, either side of the jump may be given.
    """
    count, channels, height, width = images.shape
    # Pixel i covers i - 1/2 to i + 1/2, so that the left edge, -1, is at -1/2.
    x = (grid[..., 0] + 1) * (width / 2) - 0.5
    y = (grid[..., 1] + 1) * (height / 2) - 0.5
    left, top = x.detach().floor(), y.detach().floor()
    right_share, bottom_share = x - left, y - top
    corners = (
        (left, top, (1 - right_share) * (1 - bottom_share)),
        (left + 1, top, right_share * (1 - bottom_share)),
        (left, top + 1, (1 - right_share) * bottom_share),
        (left + 1, top + 1, right_share * bottom_share),
    )
    pixels = images.reshape(count, channels, height * width)
    read = images.new_zeros(count, channels, grid[..., 0][0].numel())
    for column, row, share in corners:
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        place = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
        place = place.reshape(count, 1, -1).expand(-1, channels, -1)
        read = read + pixels.gather(2, place) * (share * inside).reshape(count, 1, -1)
    return read.reshape(count, channels, *grid.shape[1:3])


@functools.cache
def _is_native(device: str) -> bool:
    """Whether this kind of device samples both ways, found by trying it once; by version one can't tell."""
    if device in ("cpu", "cuda"):
        return True
    try:
        images = torch.zeros(1, 1, 2, 2, device=device, requires_grad=True)
        grid = torch.zeros(1, 2, 2, 2, device=device, requires_grad=True)
        functional.grid_sample(images, grid, align_corners=False).sum().backward()
    except (NotImplementedError, RuntimeError):
        return False
    return True
