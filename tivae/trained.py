"""A finished trial as a model: encodings, reconstructions and samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tivae import records
from tivae.config import TrialConfig
from tivae.data.datasets import Dataset
from tivae.data.randomness import generator
from tivae.evaluation import losses
from tivae.evaluation.readout import probed_stn
from tivae.models import Model, model_input
from tivae.models.stn import SpatialTransformer


class TrainedModel:
    """A trained model with its STN, on the host.

    Images go in as pixels, (N, H, W) of the data set's size: uint8 from 0 to 255, or floats from 0 to 1; a float batch
    whose values leave [0, 1] is refused. Images come out as float32 pixels from 0 to 1, (N, H, W).
    """

    def __init__(self, config: TrialConfig, model: Model, stn: SpatialTransformer | None):
        self.config, self.model, self.stn = config, model, stn

    def encode(self, images: ArrayLike | Tensor, features: str | None = None, seed: int = 0) -> NDArray[np.float32]:
        """Encodings (N, D), of the features that the trial's own probe read, or of others; `seed` is that of `sample`.

        An STN is passed by where that probe passed it by.

        Raises `ValueError` for features that the model does not have.
        """
        name = features or self.config.probe_features
        assert name is not None
        batch = Dataset(self._standardised(images))
        noise = self.model.noise(len(batch), generator(seed, "encoding noise")) if name == "sample" else None
        stn = probed_stn(self.config, self.stn)
        return losses.features(self.model, batch, name, stn=stn, noise=noise, orbit=self.config).numpy()

    @torch.no_grad()
    def reconstruct(self, images: ArrayLike | Tensor) -> NDArray[np.float32]:
        """What the model makes of `images`: in their own frame, but in that of the STN's output where the trial is
        scored there (`pretrained`, `joint`).

        Raises `ValueError` for a model that makes no reconstructions.
        """
        inputs = model_input.transform_of(self.config.stn, self.stn)(self._standardised(images))
        decoded = self.model.reconstruct(inputs.seen)
        restored = decoded if inputs.restore is None else inputs.restore(decoded)
        return self.config.standardisation.pixels(restored).numpy()

    @torch.no_grad()
    def sample(self, count: int, seed: int = 0) -> NDArray[np.float32]:
        """`count` images decoded from the prior; the same for the same seed."""
        return self.config.standardisation.pixels(self.model.sample(count, generator(seed, "samples"))).numpy()

    @torch.no_grad()
    def transform(self, images: ArrayLike | Tensor) -> NDArray[np.float32]:
        """The model's input for `images`: the STN's output, or the images themselves without an STN."""
        batch = self._standardised(images)
        return self.config.standardisation.pixels(batch if self.stn is None else self.stn(batch)).numpy()

    def _standardised(self, images: ArrayLike | Tensor) -> Tensor:
        return self.config.standardisation.standardised(_checked(images, self.config.images.size))


def load(path: str | Path) -> TrainedModel:
    """The model of a finished trial, from its folder `<results>/<study>/trials/<key>`.

    Raises `FileNotFoundError` where no finished trial is there, and `ValueError` where its files are damaged.
    """
    folder = Path(path)
    record = records.read(folder, is_own=False)
    if record is None or record["status"] != "finished":
        raise FileNotFoundError(f"{folder} holds no finished trial; it must hold record.json and model.pt")
    config = TrialConfig.from_dict(record["config"])
    stn = None if not config.has_front else records.load_stn(config, folder)
    return TrainedModel(config, records.load_model(config, folder), stn)


def _checked(images: ArrayLike | Tensor, size: int) -> Tensor:
    """Pixels from 0 to 255, (N, `size`, `size`)."""
    pixels = images.detach().cpu() if isinstance(images, Tensor) else torch.as_tensor(np.array(images))
    if pixels.ndim != 3 or pixels.shape[1:] != (size, size) or len(pixels) == 0:
        raise ValueError(f"images have shape {tuple(pixels.shape)}; it must be (N, {size}, {size}), N at least 1")
    if pixels.dtype == torch.uint8:
        return pixels
    # NaN compares as false, and is refused with the rest.
    if not torch.is_floating_point(pixels) or not (pixels.min() >= 0 and pixels.max() <= 1):
        raise ValueError("images must be uint8 from 0 to 255 or floats from 0 to 1; not standardised")
    return pixels.float() * 255
