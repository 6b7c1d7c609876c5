"""Consistency of the encodings of two views of an image, as a term of the training loss."""

from __future__ import annotations

import torch
from torch import Tensor

from tivae.models import Trainable


def consistency(model: Trainable, first: Tensor, second: Tensor, form: str) -> Tensor:
    """A scalar, 0 where both views of every image have the same posterior parameters `first` and `second`.

    `distance`: of the model's default features (mean, logits, code), see `distance`. `kl`: the mean of both
    directions of KL between the two posteriors, in nats per image, summed over latents (CR-VAE's term, Sinha and
    Dieng 2021, made symmetric); rescaling latents and posterior widths together does not change it.
    """
    if form == "kl":
        return 0.5 * (model.kl_between(first, second) + model.kl_between(second, first)).mean()
    default = model.feature_names[0]
    return distance(model.features(first, default), model.features(second, default))


def distance(first: Tensor, second: Tensor) -> Tensor:
    """mean ||a_i - b_i||^2 / (2 * total variance) of encodings a, b (B, D), the variance over all 2 B of them.

    0 where views agree, about 1 where they are no nearer than those of different images. The gradient flows through
    the variance as well, so that the value and its pull are blind to the encodings' scale: shrinking does not pay.
    """
    moved = (first - second).square().sum(1).mean()
    spread = torch.cat([first, second]).var(dim=0, correction=0).sum()
    # Encodings that are all equal have no distance to compare with; the term is 0 then, and so is its gradient.
    return moved / (2 * spread).clamp_min(torch.finfo(spread.dtype).tiny)
