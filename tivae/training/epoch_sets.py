"""The training images of an epoch, in all views that a training compares."""

from __future__ import annotations

from dataclasses import replace

import torch

from tivae.config import TrialConfig
from tivae.data.alterations import Alterations
from tivae.data.datasets import Dataset, TrialData
from tivae.models.stn import SpatialTransformer


class EpochSets:
    """One epoch's datasets, all in the same order, as they come to what is trained: behind a frozen STN, if any.

    first: what is decoded, base or augmented as `train_dataset` says.
    second: another, augmented view of each image, for terms that compare two; None where none does.
    alignment: the augmented images of a joint STN's alignment loss; None where `first` is augmented itself.
    base: the images as they are, in front of any STN: what is aligned to, and the target `base`.

    The first and the second view are altered as well where the config says so.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: TrialData,
        frozen_stn: SpatialTransformer | None,
        generators: dict[str, torch.Generator],
    ):
        self._data, self._generators, self._frozen_stn = data, generators, frozen_stn
        self._redrawn = config.training_warps == "redrawn"
        self._augmented = config.train_dataset == "augmented"
        self._alterations = Alterations(config, data.device) if config.alters_views else None
        self.base = data.base_train()
        self.second = self._fixed("second view warps") if config.has_second_view else None
        self.alignment = self._fixed("alignment warps") if config.stn == "joint" and not self._augmented else None
        if self._augmented and self._redrawn:
            self.first = self.base
        else:
            images = data.augmented_train("training warps") if self._augmented else self.base
            # The same in every epoch, unless altered, so that its way through a frozen STN is computed once.
            if frozen_stn is None or config.alters_views:
                self.first = images.behind(frozen_stn)
            else:
                self.first = images.transformed(frozen_stn)

    def renew(self) -> None:
        """Draws the next epoch's warps, where they are redrawn, and alterations."""
        if self._redrawn and self._augmented:
            self.first = self._drawn("warps")
        if self._redrawn and self.second is not None:
            self.second = self._drawn("second view")
        if self._redrawn and self.alignment is not None:
            self.alignment = self._drawn("alignment")
        if self._alterations is not None:
            self.first = self._altered(self.first, "alterations")
            self.second = None if self.second is None else self._altered(self.second, "second view alterations")

    def _drawn(self, name: str) -> Dataset:
        return self._data.redrawn_train(self._generators[name]).behind(self._frozen_stn)

    def _altered(self, images: Dataset, name: str) -> Dataset:
        assert self._alterations is not None
        return replace(images, altered=self._alterations.draw(len(images), self._generators[name]))

    def _fixed(self, purpose: str) -> Dataset:
        return self._data.augmented_train(purpose).behind(self._frozen_stn)
