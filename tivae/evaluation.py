"""Losses and features over whole datasets; every image counts once, whatever the batch size."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tivae.datasets import Dataset
from tivae.models import Autoencoder

BATCH_SIZE = 500


@torch.no_grad()
def losses(
    model: Autoencoder, images: Dataset, noise: Tensor, step: int, batch_size: int = BATCH_SIZE
) -> dict[str, float]:
    """Mean `loss` (weighted as in training), `reconstruction` and `kl` over `images`; the model must be in `eval()`.

    noise: one posterior sample's noise per image, as `model.noise(len(images), ...)` draws it.
    """
    reconstruction = torch.zeros((), dtype=torch.float64)
    kl = torch.zeros((), dtype=torch.float64)
    for start, batch in zip(range(0, len(images), batch_size), images.batches(batch_size), strict=True):
        parts = model.losses(batch, noise[start : start + batch_size], step)
        reconstruction += parts.reconstruction.sum().cpu().double()
        kl += parts.kl.sum().cpu().double()
    means = {"reconstruction": float(reconstruction) / len(images), "kl": float(kl) / len(images)}
    weight = model.config.reconstruction_weight
    assert weight is not None
    return {"loss": weight * means["reconstruction"] + model.config.kl_weight * means["kl"]} | means


@torch.no_grad()
def features(
    model: Autoencoder,
    images: Dataset,
    kind: str,
    through: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = BATCH_SIZE,
) -> Tensor:
    """Encodings (N, D) float32 of all images in order, on the host; the model must be in `eval()`.

    through: what the images pass before the model, a frozen STN for example.
    """
    parts = []
    for batch in images.batches(batch_size):
        seen = batch if through is None else through(batch)
        parts.append(model.features(model.encode(seen), kind).cpu())
    return torch.cat(parts)
