"""The base and augmented datasets on the device: standardised, warped and read in batches.

Warps act on the image before it is standardised, so that what comes into the frame is black (or, with `fill="grey"`,
the data set's mean).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tivae.config import TrialConfig
from tivae.data import warps
from tivae.data.alterations import Altered
from tivae.data.image_set import DataError, Images
from tivae.data.randomness import generator
from tivae.data.standardisation import Standardisation

# The seed of the augmented test and validation sets, the same for every trial, so that comparisons are paired.
TEST_SET_SEED = 0


@dataclass(frozen=True)
class Dataset:
    """Images that are standardised, and warped where `matrices` are given, as batches are read.

    images: uint8 (N, H, W), or standardised float32 (N, 1, H, W); matrices: (N, 2, 3) or None.
    front: what each batch passes at the end, without gradients; a frozen STN, say. standardisation: that of the images,
    given or done already. altered: what is changed in a view besides, before the front. successive: whether rotation,
    scale and shift are resampled one after another.
    """

    images: Tensor
    matrices: Tensor | None = None
    interpolation: str = "bilinear"
    fill: float = 0.0
    front: Callable[[Tensor], Tensor] | None = None
    standardisation: Standardisation | None = None
    altered: Altered | None = None
    successive: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor | slice) -> Tensor:
        """Standardised float32 images (B, 1, H, W) at `index`."""
        images = self.images[index]
        if images.dtype == torch.uint8:
            assert self.standardisation is not None, "pixels are standardised by those of their data set"
            images = self.standardisation.standardised(images)
        if self.matrices is not None:
            resampled = warps.warp_successively if self.successive else warps.warp
            images = resampled(images, self.matrices[index], interpolation=self.interpolation, fill=self.fill)
        if self.altered is not None:
            images = self.altered(images, index)
        if self.front is None:
            return images
        with torch.no_grad():
            return self.front(images)

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        """All images in order, each once; the last batch may be smaller."""
        for start in range(0, len(self), batch_size):
            yield self.batch(slice(start, start + batch_size))

    def first(self, count: int) -> Dataset:
        """The first `count` images, or all where there are fewer."""
        return replace(
            self, images=self.images[:count], matrices=None if self.matrices is None else self.matrices[:count]
        )

    def behind(self, front: Callable[[Tensor], Tensor] | None) -> Dataset:
        """The same images behind `front`, which each batch passes as it is read; `transformed` does so once."""
        return replace(self, front=front)

    @torch.no_grad()
    def transformed(self, transform: Callable[[Tensor], Tensor], batch_size: int = 1000) -> Dataset:
        """The dataset of `transform`'s outputs, computed once and kept."""
        outputs = torch.cat([transform(batch) for batch in self.batches(batch_size)])
        return Dataset(outputs, standardisation=self.standardisation)


def warped(images: Tensor, matrices: Tensor, config: TrialConfig) -> Dataset:
    """uint8 images (N, H, W) warped by sampling matrices (N, 2, 3) as the config warps its own."""
    standardisation = config.standardisation
    outside = standardisation.outside(config.fill)
    successive = config.resampling == "successive"
    return Dataset(
        images, matrices, config.interpolation, outside, standardisation=standardisation, successive=successive
    )


def test_warps(host: Images, config: TrialConfig) -> warps.WarpParameters:
    """The warps of the frozen augmented test set, one for each test image there is."""
    return warps.draw(len(host.test_images), config, generator(TEST_SET_SEED, "augmented test set"))


class TrialData:
    """One trial's datasets on its device, cut to the config's number of images.

    Test sets are the same for all trials with the same warp settings, whatever their seed. So are the validation sets:
    the last `validation_images` of the training images, which then belong to no training set. Searches choose by
    them alone: test losses and accuracies are reported, never chosen by.

    Raises `DataError` where `host` is another data set than the config's.
    """

    def __init__(self, host: Images, config: TrialConfig, device: torch.device | str):
        if host.dataset != config.dataset:
            raise DataError(
                f"the images are those of {host.dataset}; they must be those of `dataset`, {config.dataset}"
            )
        known = config.train_images or len(host.train_images)
        train = known - (config.validation_images or 0)
        test = config.test_images or len(host.test_images)
        self.config = config
        self.device = torch.device(device)
        self._train_images = self._to_device(host.train_images[:train])
        self._validation_images = self._to_device(host.train_images[train:known])
        self._test_images = self._to_device(host.test_images[:test])
        self.train_labels = np.asarray(host.train_labels[:train], dtype=np.int64)
        self.validation_labels = np.asarray(host.train_labels[train:known], dtype=np.int64)
        self.test_labels = np.asarray(host.test_labels[:test], dtype=np.int64)
        # Drawn on the host and for all images, so that neither the device nor a smaller set moves a warp.
        self._test_warps = warps.sampling_matrices(test_warps(host, config), config.images.size)
        if config.validation_images is not None:
            source = generator(TEST_SET_SEED, "augmented validation set")
            drawn = _warps_of(len(host.train_images), config, source)
            self._validation_warps = drawn[train:known]

    def evaluation_sets(self) -> dict[str, Dataset]:
        """`base` and `augmented` test sets, and `validation_base` and `validation_augmented` where there are any."""
        sets = {"base": self.base_test(), "augmented": self.augmented_test()}
        if self.config.validation_images is not None:
            sets["validation_base"] = self._unwarped(self._validation_images)
            warped = self._warped(self._validation_images, self._validation_warps)
            sets["validation_augmented"] = warped
        return sets

    def evaluation_targets(self) -> dict[str, Dataset]:
        """The base images of each of `evaluation_sets`."""
        base = {"": self.base_test(), "validation_": self._unwarped(self._validation_images)}
        return {name: base["validation_" if name.startswith("validation_") else ""] for name in self.evaluation_sets()}

    def evaluation_labels(self, name: str) -> np.ndarray:
        """The labels int64 (N,) of one of `evaluation_sets`."""
        return self.validation_labels if name.startswith("validation_") else self.test_labels

    def base_train(self) -> Dataset:
        """The training images as they are."""
        return self._unwarped(self._train_images)

    def base_test(self) -> Dataset:
        """The test images as they are."""
        return self._unwarped(self._test_images)

    def augmented_test(self) -> Dataset:
        """The one frozen set of warped test images."""
        return self._warped(self._test_images, self._test_warps[: len(self._test_images)])

    def warped_test(self, parameters: warps.WarpParameters) -> Dataset:
        """The first test images, each with its own of `parameters`."""
        images = self._test_images[: len(parameters)]
        return self._warped(images, warps.sampling_matrices(parameters, self.config.images.size))

    def augmented_train(self, purpose: str) -> Dataset:
        """The training images with the warps that (seed, purpose) names."""
        return self.redrawn_train(generator(self.config.seed, purpose))

    def redrawn_train(self, source: torch.Generator) -> Dataset:
        """The training images with the next warps from `source`."""
        return self._warped(self._train_images, _warps_of(len(self._train_images), self.config, source))

    def _unwarped(self, images: Tensor) -> Dataset:
        return Dataset(images, standardisation=self.config.standardisation)

    def _warped(self, images: Tensor, matrices: Tensor) -> Dataset:
        return warped(images, matrices.to(self.device), self.config)

    def _to_device(self, images: np.ndarray) -> Tensor:
        # A copy: the host's array is read-only and shared by all trials of a machine.
        return torch.tensor(images, device=self.device)


def _warps_of(count: int, config: TrialConfig, source: torch.Generator) -> Tensor:
    return warps.sampling_matrices(warps.draw(count, config, source), config.images.size)
