"""Canonicalisation by image moments (Hu 1962; Flusser, Suk and Zitova 2009, chapter 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from tivae import precision
from tivae.config import TrialConfig
from tivae.data.datasets import Dataset
from tivae.data.warps import WarpParameters
from tivae.models.front import Front


class Moments(Front):
    """Brings centre of mass and size of each image to those of the training images, and its axis to the nearest of two.

    An image is a mass of 1 in all, a pixel's share its value. c: centre of mass; size: root of the trace of its
    covariance C; axis: C's first principal axis, at atan2(2 C_xy, C_xx - C_yy) / 2, whose turn from the nearest of the
    horizontal and the vertical lies within 45 degrees. An image without any mass stays as it is.
    reference: mean over the base training images of c_x, c_y and size, in pixels from the centre of the frame.
    """

    reference: Tensor

    def __init__(self, config: TrialConfig):
        super().__init__(config)
        self.black = config.standardisation.outside("black")
        self.register_buffer("reference", torch.tensor([0.0, 0.0, 1.0]))

    @torch.no_grad()
    def fit(self, images: Dataset) -> None:
        described = torch.cat([self._moments(batch)[:, :3] for batch in images.batches(1000)])
        has_mass = described[:, 2] > 0
        # On the host, in double precision, which not every device has.
        mean = described[has_mass].cpu().double().mean(0) if has_mass.any() else self.reference.cpu().double()
        self.reference.copy_(mean)

    def estimated_warps(self, images: Tensor) -> WarpParameters:
        x, y, size, turn = self._moments(images).unbind(1)
        has_mass = size > 0
        angle = torch.where(has_mass, turn, 0.0)
        scale = torch.where(has_mass, size / self.reference[2], 1.0)
        # The reference's centre of mass would have come to s R c by the turn and the scale alone.
        cosine, sine = scale * torch.cos(angle), scale * torch.sin(angle)
        moved_x = cosine * self.reference[0] - sine * self.reference[1]
        moved_y = sine * self.reference[0] + cosine * self.reference[1]
        return WarpParameters(
            rotation_degrees=torch.rad2deg(angle),
            shift_x_pixels=torch.where(has_mass, x - moved_x, 0.0),
            shift_y_pixels=torch.where(has_mass, y - moved_y, 0.0),
            scale=scale,
        )

    def _moments(self, images: Tensor) -> Tensor:
        """(B, 4): c_x, c_y and size in pixels, and the axis's turn in radians."""
        with precision.exact(images.device):
            mass = (images.float() - self.black).clamp_min(0)[:, 0]
            mass = mass / mass.sum((1, 2), keepdim=True).clamp_min(1e-6)
            places = torch.arange(self.size, device=images.device, dtype=mass.dtype) - (self.size - 1) / 2
            columns, rows = mass.sum(1), mass.sum(2)
            x, y = columns @ places, rows @ places
            spread_x, spread_y = (columns @ places.square()) - x.square(), (rows @ places.square()) - y.square()
            both = (mass @ places * places).sum(1) - x * y
            long, across = spread_x - spread_y, 2 * both
            # Four times the angle, which is the same for both axes.
            turn = torch.atan2(2 * long * across, long.square() - across.square()) / 4
            return torch.stack([x, y, (spread_x + spread_y).clamp_min(0).sqrt(), turn], dim=1)
