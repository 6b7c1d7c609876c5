"""Collapse diagnostics of STNs and of latents."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tivae.data import warps
from tivae.data.datasets import Dataset
from tivae.evaluation.losses import BATCH_SIZE
from tivae.models import Trainable
from tivae.models.stn import SpatialTransformer

# A latent that carries less, on average over images, is called dead.
DEAD_LATENT_NATS = 0.01


@torch.no_grad()
def of_stn(stn: SpatialTransformer, images: Dataset, base: Dataset) -> dict[str, float]:
    """Diagnostics of the STN on `images`, the augmented test set, whose base images are `base`; means over images.

    stn_mean_log_determinant: log |area of input per area of output|; 0 for the identity, large where the picture is
    made small, very negative where a point is blown up.
    stn_frame_kept: share of the input's pixels that are still inside the output's frame, in [0, 1].
    stn_target_variance_ratio: variance across images, summed over pixels, of the output over that of the input; the
    output is the model's target, so 0 is a collapse to one easy image.
    stn_alignment_loss: squared error per pixel between the output and the base images.
    """
    log_determinant = kept = alignment = 0.0
    before, after = _Spread(), _Spread()
    for batch, target in zip(images.batches(BATCH_SIZE), base.batches(BATCH_SIZE), strict=True):
        matrices = stn.matrices(batch)
        output = stn.apply_matrices(batch, matrices)
        log_determinant += float(warps.determinants(matrices).abs().cpu().double().log().sum())
        kept += float(_share_inside(matrices, batch.shape[-1]).sum())
        alignment += float(functional.mse_loss(output, target)) * len(batch)
        before.add(batch)
        after.add(output)
    return {
        "stn_mean_log_determinant": log_determinant / len(images),
        "stn_frame_kept": kept / len(images),
        "stn_target_variance_ratio": after.variance / before.variance if before.variance else math.nan,
        "stn_alignment_loss": alignment / len(images),
    }


@torch.no_grad()
def of_latents(model: Trainable, seen: Dataset) -> dict[str, float | int | None]:
    """KL and use of the latents over the images `seen`.

    kl_per_latent_mean, _max, _min: over latents, of the mean KL from the prior, in nats.
    dead_latents: latents with less than 0.01 nats, a count.
    dead_codes: codes (a class of a categorical variable) that are the most probable for no image; None without codes.
    code_variance_share, code_effective_rank: see `of_codes`; of a model without a posterior alone.
    """
    total: Tensor | int = 0
    used: Tensor | None = None
    codes = []
    for batch in seen.batches(BATCH_SIZE):
        parameters = model.encode(batch)
        total = total + model.kl_parts(parameters).cpu().double().sum(0)
        if not model.has_posterior:
            codes.append(model.features(parameters, model.feature_names[0]).cpu())
        found = model.used_codes(parameters)
        if found is not None:
            used = found if used is None else used | found
    dead_codes = None if used is None else int((~used).sum())
    if not model.has_posterior:
        return of_codes(torch.cat(codes)) | ({} if dead_codes is None else {"dead_codes": dead_codes})
    assert isinstance(total, Tensor)
    per_latent = total / len(seen)
    return {
        "kl_per_latent_mean": float(per_latent.mean()),
        "kl_per_latent_max": float(per_latent.max()),
        "kl_per_latent_min": float(per_latent.min()),
        "dead_latents": int((per_latent < DEAD_LATENT_NATS).sum()),
        "dead_codes": dead_codes,
    }


def of_codes(codes: Tensor) -> dict[str, float | int | None]:
    """Variance share and effective rank of codes (N, D).

    code_variance_share: their variance, summed over D, over their mean squared length, in [0, 1]; 0 where all images
    have one code.
    code_effective_rank: exp of the entropy of that variance's shares along its principal axes (Roy and Vetterli 2007;
    RankMe, Garrido et al. 2023, takes it of singular values), from 1, a line, to D. NaN where there is no variance.
    """
    values = codes.double()
    length = float(values.square().sum(1).mean())
    variances = torch.linalg.svdvals(values - values.mean(0)).square() / len(values)
    total = float(variances.sum())
    shares = variances / total
    rank = float(torch.exp(-torch.xlogy(shares, shares).sum())) if total > 0 else math.nan
    return {"code_variance_share": total / length if length else 0.0, "code_effective_rank": rank}


def _share_inside(matrices: Tensor, image_size: int) -> Tensor:
    """The share (B,) of the input's pixel centres that the output's frame shows."""
    whole = warps.determinants(matrices).abs() >= warps.LEAST_DETERMINANT
    share = torch.zeros(len(matrices), device=matrices.device)
    if whole.any():
        places = warps.sampling_grid(warps.inverse(matrices[whole]), image_size, image_size)
        share[whole] = (places.abs() <= 1).all(-1).float().mean((1, 2))
    return share


class _Spread:
    """Variance across images, summed over pixels, gathered batch by batch."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: Tensor | float = 0.0
        self._squares = 0.0

    def add(self, batch: Tensor) -> None:
        pixels = batch.flatten(1).cpu().double()
        self._count += len(pixels)
        self._sum = self._sum + pixels.sum(0)
        self._squares += float(pixels.square().sum())

    @property
    def variance(self) -> float:
        mean = torch.as_tensor(self._sum) / self._count
        return max(self._squares / self._count - float(mean.square().sum()), 0.0)
