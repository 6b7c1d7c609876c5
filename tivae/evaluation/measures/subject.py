"""Whom the measures look at: a trained encoder, behind its STN, with the probe that reads it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tivae.config import TrialConfig
from tivae.data.datasets import Dataset, TrialData
from tivae.evaluation import readout
from tivae.evaluation.probe import Probe
from tivae.models import Model
from tivae.models.stn import SpatialTransformer


@dataclass(frozen=True)
class Subject:
    """An encoder as its probe reads it; `probe` is that of the headline accuracy on augmented images.

    stn: what the probe sees images through; None where there is no STN, or it is bypassed.
    """

    config: TrialConfig
    data: TrialData
    model: Model
    stn: SpatialTransformer | None
    probe: Probe

    def encodings(self, images: Dataset) -> NDArray[np.float32]:
        """(N, D); of `sample` features with the same noise for an image in every call."""
        return readout.encode(self.config, self.data, self.model, images, self.stn, "measured").numpy()

    def encode(self, batch: Tensor) -> Tensor:
        """Encodings (B, D) of standardised images (B, 1, H, W), differentiable where `is_smooth`."""
        assert self.config.probe_features is not None
        seen = batch if self.stn is None else self.stn(batch)
        return self.model.features(self.model.encode(seen), self.config.probe_features)

    @property
    def is_smooth(self) -> bool:
        """Whether the features have derivatives: hard codes have none, and samples are not looked at."""
        return self.config.probe_features not in ("one_hot", "sample")

    @property
    def labels(self) -> NDArray[np.int64]:
        """Of the test images, (N,)."""
        return self.data.test_labels
