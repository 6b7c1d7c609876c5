"""Metrics computed once at the end of a training: hard codes, the original frame, collapse diagnostics."""

from __future__ import annotations

from typing import Any

from tivae.data.datasets import Dataset, TrialData
from tivae.evaluation import collapse, losses
from tivae.models import Control, Unsupported, model_input
from tivae.models.stn import SpatialTransformer
from tivae.training.evaluation_losses import EvaluationLosses
from tivae.training.loop import EpochRow

TEST_SETS = ("base", "augmented")
_LOSSES = ("loss", "reconstruction", "kl")


def of_model(
    evaluation: EvaluationLosses, stn: SpatialTransformer | None, frozen: bool, last: EpochRow
) -> dict[str, Any]:
    """The final metrics of a trained autoencoder behind `stn`; frozen: the STN was not trained with it.

    last: the row of its last epoch.

    *_original_frame_reconstruction: squared error per pixel in the frame of the images that come to the STN; without
    an STN, and for the inverse one, which is trained so, *_reconstruction itself.
    *_reconstruction_hard: *_reconstruction decoded from one-hot codes of the most probable classes in place of relaxed
    samples; *_hard_soft_gap: the hard one minus the soft one. For a model that relaxes its latents, else None.
    Collapse diagnostics: see `tivae.evaluation.collapse`.
    """
    model, transform = evaluation.model, evaluation.transform
    found: dict[str, Any] = {}
    raw = evaluation.data.evaluation_sets()
    for test_set in TEST_SETS:
        soft = last[f"{test_set}_reconstruction"]
        found[f"{test_set}_original_frame_reconstruction"] = soft
        if soft is not None and stn is not None and evaluation.config.stn != "inverse":
            back = model_input.through_stn_and_back(stn)
            original = losses.losses(model, raw[test_set], evaluation.noise(test_set), last["step"], transform=back)
            found[f"{test_set}_original_frame_reconstruction"] = original["reconstruction"]
        hard = None
        if model.relaxes and soft is not None:
            targets = evaluation.targets.get(test_set)
            hard = losses.reconstruction(model, evaluation.sets[test_set], transform=transform, targets=targets)
        found[f"{test_set}_reconstruction_hard"] = hard
        found[f"{test_set}_hard_soft_gap"] = None if hard is None else hard - soft
    if stn is not None:
        found |= collapse.of_stn(stn, raw["augmented"], raw["base"])
    seen = evaluation.sets["augmented"] if frozen or stn is None else raw["augmented"].behind(stn)
    found |= collapse.of_latents(model, seen)
    return found


def of_control(
    model: Control, stn: SpatialTransformer | None, data: TrialData, seen: dict[str, Dataset]
) -> dict[str, Any]:
    """The losses of a control: reconstructions where it makes any, and None in all other columns of losses."""
    metrics: dict[str, Any] = {f"{images}_{name}": None for images in ("train", *TEST_SETS) for name in _LOSSES}
    raw = data.evaluation_sets()
    for test_set in TEST_SETS:
        original = f"{test_set}_original_frame_reconstruction"
        metrics[original] = None
        try:
            metrics[f"{test_set}_reconstruction"] = losses.reconstruction(model, seen[test_set])
            metrics[original] = metrics[f"{test_set}_reconstruction"]
            if stn is not None:
                metrics[original] = losses.reconstruction(
                    model, raw[test_set], transform=model_input.through_stn_and_back(stn)
                )
        except Unsupported:
            continue
    if stn is not None:
        metrics |= collapse.of_stn(stn, raw["augmented"], raw["base"])
    return metrics
