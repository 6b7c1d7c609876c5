"""Standardisation of pixels, and its inverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Standardisation:
    """Pixels p in [0, 1] become (p - mean) / std: mean 0 and standard deviation 1 over a data set's training images.

    Those of Fashion-MNIST then lie in [-0.81, 2.02].
    """

    mean: float
    std: float

    def standardised(self, images: Tensor) -> Tensor:
        """uint8 (N, H, W) to float32 (N, 1, H, W)."""
        return images.unsqueeze(1).float().mul_(1 / (255 * self.std)).sub_(self.mean / self.std)

    def pixels(self, images: Tensor) -> Tensor:
        """Standardised (N, 1, H, W) to pixels in [0, 1], (N, H, W)."""
        return (images * self.std + self.mean).clamp(0, 1).squeeze(1)

    @property
    def white(self) -> float:
        """The standardised value of pixel 255."""
        return (1 - self.mean) / self.std

    def outside(self, fill: str) -> float:
        """The standardised value outside the frame: `black` is that of pixel 0, `grey`, the data set's mean, is 0."""
        return -self.mean / self.std if fill == "black" else 0.0
