"""Cells of a study with their labels, and quantities that make different models comparable."""

from __future__ import annotations

import contextlib

import pandas as pd

from analysis.frames.image_sets import of_each
from analysis.frames.labels import cell_label, in_order, panel_label
from analysis.frames.recipe import default_value
from analysis.frames.study import PAPER_FACTORS
from analysis.frames.trial import config_of

# What cells are chosen by where all trials have it: the test images then have no part in the choice.
VALIDATION = "validation_augmented_accuracy"
# The fields that make up the latent size.
LATENT_SIZE = ("latent_dim", "categories")
# An STN whose output varies across images by less than this share of its input makes every image the same.
LEAST_VARIANCE_LEFT = 0.05
# Of codes without a posterior: of their squared length less than this is variance, or they vary along one line.
LEAST_CODE_VARIANCE, LEAST_RANK = 1e-3, 1.05
# Of projections: their standard deviation lacks more to 1 (VICReg), or two views correlate no better (Barlow Twins).
MOST_LACKING = 0.9


def chosen_by(trials: pd.DataFrame) -> str:
    """The accuracy that cells are ranked by: of validation images where all of the trials or cells have it."""
    known = trials.get(VALIDATION)
    return VALIDATION if known is not None and len(known) and known.notna().all() else "augmented_accuracy"


def with_cells(trials: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """`trials` with `cell`, a number, and `cell_label` and `panel_label`; by model, then in the frame's own order.

    Labels do not name a default that most cells of the model have, but always a latent size that varies. Rows without
    a model, damaged records, are left out.
    """
    readable = trials[trials["model"].notna()]
    order = {model: position for position, model in enumerate(in_order(readable["model"]))}
    readable = readable.sort_values("model", key=lambda models: models.map(order).astype("int64"), kind="stable")
    cells = readable.groupby(factors, dropna=False, sort=False).ngroup()
    firsts = readable.assign(cell=cells)[~cells.duplicated()].set_index("cell")
    labels, panels = {}, {}
    for _, own in firsts.groupby("model", sort=False):
        usual = _usual_defaults(own, factors)
        for cell, row in own.iterrows():
            named = [name for name in factors if pd.isna(row[name]) or row[name] != usual.get(name)]
            labels[cell], panels[cell] = cell_label(row, named), panel_label(row, named)
    return readable.assign(cell=cells, cell_label=cells.map(labels), panel_label=cells.map(panels))


def _usual_defaults(cells: pd.DataFrame, factors: list[str]) -> dict[str, object]:
    """The factors of which most of the cells, all of one model, have one value, a default; and these values."""
    found = {}
    for name in (name for name in factors if name not in (*PAPER_FACTORS, *LATENT_SIZE)):
        counts = cells[name].value_counts()
        if len(counts) and 2 * counts.iloc[0] > len(cells):
            usual = counts.index[0]
            # A record of another version may have no config here: then all is named.
            with contextlib.suppress(ValueError):
                config = config_of(cells[(cells[name] == usual).fillna(False)].iloc[0])
                if default_value(config, name) == getattr(config, name):
                    found[name] = usual
    return found


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
    """Whether a trial's own diagnostics say that it collapsed: its STN makes all images alike, or no latent is used.

    A code collapses to one point or, if it has several numbers, to a line; a joint embedding's projections to a point.
    """
    none = pd.Series(pd.NA, index=trials.index, dtype="Float64")

    def column(name: str) -> pd.Series:
        return trials.get(name, none).astype("Float64")

    latents = column("latent_dim")
    signs = [
        column("stn_target_variance_ratio") < LEAST_VARIANCE_LEFT,
        column("dead_latents") >= latents,
        column("code_variance_share") < LEAST_CODE_VARIANCE,
        (column("code_effective_rank") < LEAST_RANK) & (latents > 1),
        column("train_variance") > MOST_LACKING,
        column("train_alignment_of_twins") > MOST_LACKING,
    ]
    return pd.concat([sign.fillna(False) for sign in signs], axis=1).any(axis=1).astype(bool)
