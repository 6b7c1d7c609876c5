"""Warps by their numbers."""

import torch

from tivae.data.warps import WarpParameters


def parameters(rotation=0.0, shift_x=0.0, shift_y=0.0, scale=1.0, count=1):
    """`count` warps, with the identity's values for what is not given; each is a number or (count,)."""
    ones = torch.ones(count)
    return WarpParameters(
        rotation_degrees=ones * rotation, shift_x_pixels=ones * shift_x, shift_y_pixels=ones * shift_y,
        scale=ones * scale,
    )  # fmt: skip
