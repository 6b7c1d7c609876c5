"""Bilinear and nearest sampling: torch's `grid_sample`, or the same by matrix products."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional


def sample(images: Tensor, grid: Tensor, mode: str = "bilinear") -> Tensor:
    """`images` (N, C, H, W) read at `grid` (N, h, w, 2), zero outside the frame: (N, C, h, w).

    Grid points are (x, y) from -1 to 1 between the outer edges of the image (`align_corners=False`). mode: bilinear or
    nearest. The device's own operation, but by `products` where it has no right or repeatable gradient.
    """
    if mode == "bilinear":
        lacks_backward = torch.is_grad_enabled() and _has_no_gradient(images, grid)
        if lacks_backward or (_has_tangent(images, grid) and not _has_forward_mode()):
            return products(images, grid)
    return functional.grid_sample(images, grid, mode=mode, align_corners=False)


def products(images: Tensor, grid: Tensor) -> Tensor:
    """`sample` in bilinear mode, out of operations that every device has; equal in values and in gradients.

    The value at (x, y) is the sum over pixels of row weight * image * column weight: along each axis the pixel before
    has the weight 1 - share, and the pixel after `share`, of the way from the one to the other. On a pixel's very
    centre, where the gradient with respect to `grid` jumps, that of the pixel after is given, as torch gives it.
    """
    count, channels, height, width = images.shape
    # Pixel i covers i - 1/2 to i + 1/2, so that the left edge, -1, is at -1/2.
    x = ((grid[..., 0] + 1) * (width / 2) - 0.5).reshape(count, -1)
    y = ((grid[..., 1] + 1) * (height / 2) - 0.5).reshape(count, -1)
    columns, rows = _weights(x, width), _weights(y, height)
    # (N, C * H, W) @ (N, W, h * w), then weighed along the rows.
    read = (images.reshape(count, channels * height, width) @ columns).view(count, channels, height, -1)
    return (read * rows[:, None]).sum(2).view(count, channels, *grid.shape[1:3])


def _has_no_gradient(images: Tensor, grid: Tensor) -> bool:
    """Whether a gradient is wanted that the device's own operation does not have, or adds up in any order."""
    device = images.device.type
    if device == "cpu":
        return False
    return (
        images.requires_grad
        if device == "cuda"
        else (images.requires_grad or grid.requires_grad) and not _has_backward(device)
    )


def _weights(places: Tensor, count: int) -> Tensor:
    """(N, count, P): the weight of each of `count` pixels at `places` (N, P), in pixels from the first one's centre."""
    before = places.detach().floor()
    share = (places - before)[:, None]
    ahead = torch.arange(count, dtype=places.dtype, device=places.device)[:, None] - before[:, None]
    return (ahead == 0) * (1 - share) + (ahead == 1) * share


def _has_tangent(*tensors: Tensor) -> bool:
    return any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors)


@functools.cache
def _has_forward_mode() -> bool:
    """Whether torch samples in forward-mode differentiation, which torch 2.8 does not."""
    values, grid = torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2, 2)
    try:
        torch.func.jvp(lambda images: functional.grid_sample(images, grid, align_corners=False), (values,), (values,))
    except NotImplementedError:
        return False
    return True


@functools.cache
def _has_backward(device: str) -> bool:
    """Whether this device type samples backwards, found by trying it once; by version one can't tell."""
    try:
        images = torch.zeros(1, 1, 2, 2, device=device, requires_grad=True)
        grid = torch.zeros(1, 2, 2, 2, device=device, requires_grad=True)
        functional.grid_sample(images, grid, align_corners=False).sum().backward()
    except (NotImplementedError, RuntimeError):
        return False
    return True
