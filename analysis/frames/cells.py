"""Cells of a study as figures name them, and the quantities that make different models comparable."""

from __future__ import annotations

import pandas as pd

from analysis.frames.image_sets import of_each
from analysis.frames.labels import cell_label, in_order, panel_label
from analysis.frames.study import PAPER_FACTORS, Study

# An STN whose output varies across images by less than this share of its input makes every image the same.
LEAST_VARIANCE_LEFT = 0.05


def cell_factors(study: Study) -> list[str]:
    """The paper's three factors and the other config fields that the study varies, without the seed."""
    return list(dict.fromkeys([*PAPER_FACTORS, *study.factors()]))


def with_cells(trials: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """`trials` with `cell`, a number, and `cell_label` and `panel_label`; by model, then in the frame's own order.

    Rows without a model, damaged records, are left out.
    """
    readable = trials[trials["model"].notna()]
    order = {model: position for position, model in enumerate(in_order(readable["model"]))}
    readable = readable.sort_values("model", key=lambda models: models.map(order).astype("int64"), kind="stable")
    cells = readable.groupby(factors, dropna=False, sort=False).ngroup()
    firsts = readable[~cells.duplicated()]
    labels = pd.DataFrame(
        {
            "cell_label": [cell_label(row, factors) for _, row in firsts.iterrows()],
            "panel_label": [panel_label(row, factors) for _, row in firsts.iterrows()],
        },
        index=cells[~cells.duplicated()],
    )
    return readable.assign(cell=cells, **{name: cells.map(labels[name]) for name in labels})


def encoding_dim(trials: pd.DataFrame) -> pd.Series:
    """Numbers per image that the probe reads: latents, times their classes for the categorical VAE."""
    sizes = trials["latent_dim"] * trials["categories"].fillna(1)
    return sizes.mask(trials["model"] == "pixels", of_each(trials, "pixels"))


def beta(trials: pd.DataFrame) -> pd.Series:
    """Weight of the KL relative to the ELBO of a Gaussian likelihood of variance 1 (Higgins et al. 2017).

    That likelihood has half the sum of squared errors, pixels / 2 times the mean, so beta = kl_weight /
    reconstruction_weight * pixels / 2; for 28 x 28 pixels the factor is 392. Rounded to three digits, so that equal
    ratios from rounded weights are equal.
    """
    ratio = trials["kl_weight"] / trials["reconstruction_weight"] * (of_each(trials, "pixels") / 2)
    return ratio.map(lambda value: float(f"{value:.3g}"))


def collapsed(trials: pd.DataFrame) -> pd.Series:
    """Whether a trial's own diagnostics say that it collapsed: its STN makes all images alike, or no latent is used."""
    none = pd.Series(pd.NA, index=trials.index, dtype="Float64")
    left = trials.get("stn_target_variance_ratio", none).astype("Float64")
    dead, latents = (trials.get(name, none).astype("Float64") for name in ("dead_latents", "latent_dim"))
    return ((left < LEAST_VARIANCE_LEFT).fillna(False) | (dead >= latents).fillna(False)).astype(bool)
