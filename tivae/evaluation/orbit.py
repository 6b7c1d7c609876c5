"""Encodings averaged over random warps of each image: a sampled group average (Puny et al. 2022).

The mean over a whole group of warps, E_t g(t x), does not change when x is warped. Warps within bounds are no group,
and these are a few of them: the mean changes less, but it changes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tivae.config import TrialConfig
from tivae.data import warps
from tivae.data.datasets import TEST_SET_SEED
from tivae.data.randomness import generator

Encode = Callable[[Tensor], Tensor]


def averaged(config: TrialConfig, encode: Encode, device: torch.device) -> Encode:
    """`encode`, of standardised images (B, 1, H, W) on `device`, or its mean over `orbit_warps` warps of each.

    They are random warps of the augmentation, the same for all images and trials, before any STN or front.
    """
    if config.orbit_warps is None:
        return encode
    drawn = warps.draw(config.orbit_warps, config, generator(TEST_SET_SEED, "orbit"))
    matrices = warps.sampling_matrices(drawn, config.images.size).to(device)
    outside = config.standardisation.outside(config.fill)
    resampled = warps.warp_successively if config.resampling == "successive" else warps.warp

    def mean(images: Tensor) -> Tensor:
        total: Tensor | float = 0.0
        for matrix in matrices:
            everywhere = matrix.expand(len(images), 2, 3)
            warped = resampled(images, everywhere, interpolation=config.interpolation, fill=outside)
            total = total + encode(warped)
        return torch.as_tensor(total) / len(matrices)

    return mean
