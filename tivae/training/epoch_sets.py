"""The training images of an epoch, in all the views of them that a training compares."""

from __future__ import annotations

import torch

from tivae.config import TrialConfig
from tivae.data.datasets import Dataset, TrialData
from tivae.models.stn import SpatialTransformer


class EpochSets:
    """One epoch's datasets, all in the same order, as they come to what is trained: behind a frozen STN, if any.

    first: what is decoded, base or augmented as `train_dataset` says.
    second: the other, augmented view of each image for the consistency; None without it.
    alignment: the augmented images of a joint STN's alignment loss; None where `first` is augmented itself.
    base: the images as they are, in front of any STN: what is aligned to, and the target `base`.
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
        self.base = data.base_train()
        self.second = self._fixed("second view warps") if config.consistency_weight is not None else None
        self.alignment = self._fixed("alignment warps") if config.stn == "joint" and not self._augmented else None
        if self._augmented and self._redrawn:
            self.first = self.base
        else:
            # The same in every epoch, so its way through a frozen STN is computed once.
            images = data.augmented_train("training warps") if self._augmented else self.base
            self.first = images if frozen_stn is None else images.transformed(frozen_stn)

    def renew(self) -> None:
        """Draws the next epoch's warps, where they are redrawn."""
        if not self._redrawn:
            return
        if self._augmented:
            self.first = self._drawn("warps")
        if self.second is not None:
            self.second = self._drawn("second view")
        if self.alignment is not None:
            self.alignment = self._drawn("alignment")

    def _drawn(self, name: str) -> Dataset:
        return self._data.redrawn_train(self._generators[name]).behind(self._frozen_stn)

    def _fixed(self, purpose: str) -> Dataset:
        return self._data.augmented_train(purpose).behind(self._frozen_stn)
