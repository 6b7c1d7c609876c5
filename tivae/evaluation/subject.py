"""The subject of measures: a trained encoder behind its STN, with its probe."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tivae.config import TrialConfig
from tivae.data import warps
from tivae.data.datasets import TEST_SET_SEED, Dataset, TrialData
from tivae.data.randomness import generator
from tivae.data.warps import WarpParameters
from tivae.evaluation import readout
from tivae.evaluation.memo import Memo
from tivae.evaluation.orbit import averaged
from tivae.evaluation.probe import Probe
from tivae.models import Model
from tivae.models.stn import SpatialTransformer

# Random warps of each image; the k of `worst_of_10_accuracy`.
WARPS = 10


@dataclass(frozen=True)
class Subject:
    """An encoder as its probe reads it; `probe` is that of the headline accuracy on augmented images.

    stn: what the probe sees images through; None if there is no STN, or it is bypassed. front: the STN in any case.
    details: what a measure leaves beside its metrics, for `measures.json`.
    """

    config: TrialConfig
    data: TrialData
    model: Model
    stn: SpatialTransformer | None
    probe: Probe
    front: SpatialTransformer | None = None
    details: dict[str, Any] = field(default_factory=dict)
    memo: Memo = field(default_factory=Memo)

    @functools.cached_property
    def unwarped(self) -> NDArray[np.float32]:
        """The encodings (N, D) of the test images as they are."""
        return self.encodings(self.data.base_test())

    def random_warps(self) -> Iterator[WarpParameters]:
        """`WARPS` times a random warp of the augmentation for each test image; the same for every trial."""
        for number in range(WARPS):
            source = generator(TEST_SET_SEED, f"measured warps {number}")
            yield warps.draw(len(self.labels), self.config, source)

    def encodings(self, images: Dataset) -> NDArray[np.float32]:
        """(N, D); of `sample` features with the same noise for an image in every call.

        Of the images of `data` themselves they are kept in `memo`.
        """

        def encoded() -> NDArray[np.float32]:
            return readout.encode(self.config, self.data, self.model, images, self.stn, "measured").numpy()

        if images.front is not None or images.images.dtype != torch.uint8:
            return encoded()
        matrices = b"" if images.matrices is None else images.matrices.cpu().numpy().tobytes()
        warped = images.interpolation, images.fill, hashlib.sha256(matrices).digest()
        of_data = images.images.data_ptr(), len(images)
        return self.memo.get((*self.config.read, of_data, warped), encoded)

    @functools.cached_property
    def encode(self) -> Callable[[Tensor], Tensor]:
        """Standardised images (B, 1, H, W) to encodings (B, D), differentiable where `is_smooth`."""

        def read(images: Tensor) -> Tensor:
            seen = images if self.stn is None else self.stn(images)
            return self.model.features(self.model.encode(seen), str(self.config.probe_features))

        return averaged(self.config, read, self.data.device)

    @property
    def is_smooth(self) -> bool:
        """Whether the features have derivatives: hard codes have none, and samples are left out."""
        features = self.config.probe_features
        return features != "sample" and features not in self.model.hard_features and self.model.is_differentiable

    @property
    def labels(self) -> NDArray[np.int64]:
        """The labels of the test images, (N,)."""
        return self.data.test_labels
