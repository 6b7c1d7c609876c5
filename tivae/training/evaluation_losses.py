"""Losses on the test and validation sets, after each epoch and of a finished training."""

from __future__ import annotations

from torch import Tensor

from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator
from tivae.evaluation import losses
from tivae.models import Trainable
from tivae.models.model_input import Transform
from tivae.models.stn import SpatialTransformer
from tivae.training.loop import EpochRow


class EvaluationLosses:
    """The losses of `model` with one posterior sample per image, the same noise in every call.

    frozen_stn: a pretrained STN, which every image passes once, here; transform: how the model looks at what is behind
    it. sets: the images as they come to `transform`; targets: what is reconstructed, where it is not what is seen.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: TrialData,
        model: Trainable,
        frozen_stn: SpatialTransformer | None,
        transform: Transform,
    ):
        self.config, self.data, self.model, self.transform = config, data, model, transform
        self._noise: dict[str, Tensor] = {}
        self.sets = data.evaluation_sets()
        if frozen_stn is not None:
            self.sets = {name: images.transformed(frozen_stn) for name, images in self.sets.items()}
        self.targets = data.evaluation_targets() if config.reconstruction_target == "base" else {}

    def row(self, step: int) -> EpochRow:
        """The columns of an epoch's row after `step` optimiser steps; changes no weight."""
        row: EpochRow = {"temperature": None, **self.model.annealed(step)}
        if not self.model.has_posterior:
            row["train_kl"] = None
        if self.model.decoder is None:
            row["train_reconstruction"] = None
        return row | self.columns(step)

    def columns(self, step: int) -> EpochRow:
        """The losses on all sets: those columns of a row that depend on the evaluation sets."""
        return {f"{name}_{loss}": value for name in self.sets for loss, value in self.of(name, step).items()}

    def of(self, name: str, step: int) -> dict[str, float | None]:
        """The losses on one of `sets`; the validation sets give the loss only."""
        images, targets = self.sets[name], self.targets.get(name)
        found = losses.losses(self.model, images, self.noise(name), step, transform=self.transform, targets=targets)
        return {"loss": found["loss"]} if name.startswith("validation") else found

    def noise(self, name: str) -> Tensor:
        """The noise of the one posterior sample of each image in the set `name`."""
        if name not in self._noise:
            source = generator(self.config.seed, f"{name} test noise")
            self._noise[name] = self.model.noise(len(self.sets[name]), source).to(self.data.device)
        return self._noise[name]
