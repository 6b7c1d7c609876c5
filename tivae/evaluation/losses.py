"""Losses and features over whole datasets; every image counts once, whatever the batch size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from tivae.config import TrialConfig
from tivae.data.datasets import Dataset
from tivae.evaluation.orbit import averaged
from tivae.models import Model, Trainable
from tivae.models.model_input import Transform, plain

BATCH_SIZE = 500


@torch.no_grad()
def losses(
    model: Trainable,
    images: Dataset,
    noise: Tensor,
    step: int,
    batch_size: int = BATCH_SIZE,
    *,
    transform: Transform = plain,
    targets: Dataset | None = None,
) -> dict[str, float | None]:
    """Means over `images` of `loss` (the model's own `total`), `reconstruction`, `kl` and the model's `loss_terms`.

    The model must be in `eval()`.

    noise: one posterior sample's noise per image, as `model.noise(len(images), ...)` draws it.
    transform: what the model sees of `images`; targets: what is reconstructed, where `transform` differs.
    `kl` is None for a model without a posterior, `reconstruction` without a decoder, `loss` where there is no loss of
    single images. What compares views in the training loss is left out: alignment, consistency and `step_terms`.
    """
    sums = []
    for start, batch in zip(range(0, len(images), batch_size), images.batches(batch_size), strict=True):
        part = slice(start, start + batch_size)
        inputs = transform(batch)
        if targets is not None:
            inputs = replace(inputs, target=targets.batch(part))
        parts = model.score(model.encode(inputs.seen), inputs, noise[part], step)
        terms = (parts.terms[term.name].sum() for term in model.loss_terms)
        sums.append(torch.stack([model.total(parts) * len(batch), parts.reconstruction.sum(), parts.kl.sum(), *terms]))
    # The only wait for the device; summed in double precision, which MPS does not have.
    loss, error, divergence, *others = (torch.stack(sums).cpu().double().sum(0) / len(images)).tolist()
    found = {
        "loss": loss if model.scores_images else None,
        "reconstruction": error if model.decoder is not None else None,
        "kl": divergence if model.has_posterior else None,
    }
    return found | {term.name: value for term, value in zip(model.loss_terms, others, strict=True)}


@torch.no_grad()
def reconstruction(
    model: Model, images: Dataset, *, transform: Transform = plain, targets: Dataset | None = None
) -> float:
    """Mean squared error per pixel of `model.reconstruct`, without noise; `transform` and `targets` as for `losses`."""
    total = 0.0
    for start, batch in zip(range(0, len(images), BATCH_SIZE), images.batches(BATCH_SIZE), strict=True):
        inputs = transform(batch)
        if targets is not None:
            inputs = replace(inputs, target=targets.batch(slice(start, start + BATCH_SIZE)))
        decoded = model.reconstruct(inputs.seen)
        restored = decoded if inputs.restore is None else inputs.restore(decoded)
        total += float(functional.mse_loss(restored, inputs.target)) * len(batch)
    return total / len(images)


@torch.no_grad()
def features(
    model: Model,
    images: Dataset,
    name: str,
    stn: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = BATCH_SIZE,
    noise: Tensor | None = None,
    orbit: TrialConfig | None = None,
) -> Tensor:
    """Encodings (N, D) float32 of all images in order, on the host; the model must be in `eval()`.

    stn: what the images pass before the model. noise: one sample's per image, for `sample`. orbit: the config whose
    `orbit_warps` they are averaged over.
    """
    parts = []
    for start, batch in zip(range(0, len(images), batch_size), images.batches(batch_size), strict=True):
        drawn = None if noise is None else noise[start : start + batch_size]
        read = partial(_read, model, name, stn, drawn)
        parts.append((read if orbit is None else averaged(orbit, read, batch.device))(batch).cpu())
    return torch.cat(parts)


def _read(
    model: Model, name: str, stn: Callable[[Tensor], Tensor] | None, noise: Tensor | None, images: Tensor
) -> Tensor:
    return model.features(model.encode(images if stn is None else stn(images)), name, noise)
