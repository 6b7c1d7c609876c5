"""Figures of a trained model that are taken once, at the end: hard codes, the original frame, collapse diagnostics."""

from __future__ import annotations

from typing import Any

from tivae.data.datasets import Dataset, TrialData
from tivae.evaluation import collapse, losses
from tivae.models import Control, Unsupported, model_input
from tivae.models.stn import SpatialTransformer
from tivae.training.autoencoder import ModelTraining

KINDS = ("base", "augmented")
_LOSSES = ("loss", "reconstruction", "kl")


def of_training(training: ModelTraining, data: TrialData) -> dict[str, Any]:
    """The closing figures of a trained autoencoder.

    *_original_frame_reconstruction: squared error per pixel in the frame of the images that come to the STN; without
    an STN, and for the inverse one, which is trained so, *_reconstruction itself.
    *_reconstruction_hard: *_reconstruction decoded from one-hot codes of the most probable classes in place of relaxed
    samples; *_hard_soft_gap: the hard one minus the soft one. For a model that relaxes its latents, else None.
    Collapse diagnostics: see `tivae.evaluation.collapse`.
    """
    model, stn, last = training.model, training.stn, training.rows[-1]
    figures: dict[str, Any] = {}
    raw = data.evaluation_sets()
    for kind in KINDS:
        soft = last[f"{kind}_reconstruction"]
        figures[f"{kind}_original_frame_reconstruction"] = soft
        if stn is not None and training.config.stn != "inverse":
            found = losses.losses(
                model,
                raw[kind],
                training.evaluation_noise(kind),
                last["step"],
                transform=model_input.through_and_back(stn),
            )
            figures[f"{kind}_original_frame_reconstruction"] = found["reconstruction"]
        hard = None
        if model.relaxes:
            hard = losses.reconstruction(
                model, training.tests[kind], transform=training.transform, targets=training.targets.get(kind)
            )
        figures[f"{kind}_reconstruction_hard"] = hard
        figures[f"{kind}_hard_soft_gap"] = None if hard is None else hard - soft
    if stn is not None:
        figures |= collapse.of_stn(stn, raw["augmented"], raw["base"])
    seen = training.tests["augmented"] if training.trained_stn is None else raw["augmented"].behind(stn)
    figures |= collapse.of_latents(model, seen)
    return figures


def of_control(
    model: Control, stn: SpatialTransformer | None, data: TrialData, seen: dict[str, Dataset]
) -> dict[str, Any]:
    """The losses of a control: reconstructions where it makes any, and None in all other columns of losses."""
    figures: dict[str, Any] = {f"{kind}_{name}": None for kind in ("train", *KINDS) for name in _LOSSES}
    raw = data.evaluation_sets()
    for kind in KINDS:
        original = f"{kind}_original_frame_reconstruction"
        figures[original] = None
        try:
            figures[f"{kind}_reconstruction"] = losses.reconstruction(model, seen[kind])
            figures[original] = figures[f"{kind}_reconstruction"]
            if stn is not None:
                figures[original] = losses.reconstruction(model, raw[kind], transform=model_input.through_and_back(stn))
        except Unsupported:
            continue
    if stn is not None:
        figures |= collapse.of_stn(stn, raw["augmented"], raw["base"])
    return figures
