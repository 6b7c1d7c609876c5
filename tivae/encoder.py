"""External encoders, of any library, read out and measured like the trials of a study."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tivae import experiment, records
from tivae.config import ConfigError, TrialConfig
from tivae.data import catalogue
from tivae.data.image_set import Images
from tivae.data.loading import load
from tivae.experiment import TrialResult
from tivae.fields import text
from tivae.models.base import Unsupported
from tivae.models.control import Control

# Of the test set; what an encoder makes of them names it.
_FIRST_IMAGES = 100


def measure(
    encoder: Callable[[Any], Any],
    name: str,
    *,
    results: str | Path | None = None,
    size: int | None = None,
    channels: int = 1,
    measures: str = "standard",
    data: Images | None = None,
    device: torch.device | str = "cpu",
    **settings: Any,
) -> TrialResult:
    """Probes, scores and measures of `encoder`, a callable from images to numbers (B, ...) for each.

    encoder: a torch module gets a float32 tensor (B, channels, size, size) of pixels from 0 to 1, on its own device and
    in evaluation mode; anything else, a scikit-learn or JAX function say, an array of that shape.
    name: its label in tables and figures. results: a results folder, in which its record then stands beside the trials.
    size: images are interpolated to it; their own unless given. channels: in which the grey values are repeated.
    measures: as for `experiment.run`. data: the images; found or fetched unless given.
    settings: fields of `TrialConfig`, such as `probe`, `train_images` or `rotation_degrees`.

        from sklearn.decomposition import PCA

        pca = PCA(50).fit(images.reshape(len(images), -1) / 255)
        tivae.measure(lambda batch: pca.transform(batch.reshape(len(batch), -1)), "PCA of mine", results="results/mine")

    The name, the settings and what it makes of the first test images decide the key.

    Raises `ValueError` if it does not give finite numbers for each image, or for other settings than a config takes.
    """
    dataset, facts = catalogue.resolved(settings.get("dataset", catalogue.DEFAULT))
    settings |= {"dataset": dataset, "dataset_facts": facts}
    host = data or load(catalogue.named(dataset, facts))
    given = GivenEncoder(encoder, size, channels)
    first = torch.from_numpy(np.array(host.test_images[:_FIRST_IMAGES]))
    encodings = given(first[:, None].float() / 255)
    named = {"model": Encoder, "encoder": name, "encoder_digest": _digest(encodings), "latent_dim": encodings.shape[1]}
    config = TrialConfig.from_dict(settings | named)
    _known[_name_of(config)] = given
    result = experiment.run(config, host, device, measures=measures)
    if results is not None:
        folder = records.trial_folder(Path(results), config.key)
        folder.mkdir(parents=True, exist_ok=True)
        records.write(folder, result)
    return result


@dataclass(frozen=True)
class GivenEncoder:
    """A callable, and the images that it takes."""

    encoder: Callable[[Any], Any]
    size: int | None
    channels: int

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        """Encodings (B, D) float32 on the host, of pixels (B, 1, H, W) from 0 to 1.

        Raises `ValueError` if they are not such.
        """
        images = pixels.expand(-1, self.channels, -1, -1)
        if self.size is not None and images.shape[-1] != self.size:
            images = functional.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        encoded = self._encoded(images)
        if encoded.ndim < 2 or len(encoded) != len(pixels) or not np.isfinite(encoded).all():
            rule = "it must give finite numbers, one row for each image"
            raise ValueError(f"the encoder gives shape {encoded.shape} for {len(pixels)} images; {rule}")
        return torch.from_numpy(encoded.reshape(len(encoded), -1))

    def _encoded(self, images: Tensor) -> NDArray[np.float32]:
        if isinstance(self.encoder, nn.Module):
            device = next((parameter.device for parameter in self.encoder.parameters()), torch.device("cpu"))
            was_training = self.encoder.training
            self.encoder.eval()
            encoded = self.encoder(images.contiguous().to(device))
            self.encoder.train(was_training)
        else:
            encoded = self.encoder(images.contiguous().cpu().numpy())
        array = encoded.detach().cpu().numpy() if isinstance(encoded, Tensor) else np.asarray(encoded)
        return np.array(array, dtype=np.float32)


class Encoder(Control):
    """The encoder given to `measure`, as a model. A record holds its name alone: in another process it can't encode."""

    label = "encoder"
    label_field = "encoder"
    feature_names = ("encodings",)
    is_differentiable = False

    class Fields:
        encoder: str | None = text(None, help="name of an external encoder, see `tivae.measure`")
        encoder_digest: str | None = text(None, help="of what it makes of the first test images")

    @classmethod
    def check(cls, config: Any) -> None:
        if config.stn != "none":
            raise ConfigError(f"`stn` is {config.stn}, but an external encoder has none; it must be none", "stn")
        if config.front is not None:
            rule = "but an external encoder has none; leave it out"
            raise ConfigError(f"`front` is {config.front}, {rule}", "front")
        if config.encoder is None or config.encoder_digest is None:
            raise ConfigError("`model` is an external encoder; it must be given to `tivae.measure`", "model")

    def encode(self, images: Tensor) -> Tensor:
        given = _known.get(_name_of(self.config))
        if given is None:
            raise Unsupported(
                "this encoder was given to tivae.measure in another process; a record holds its name alone"
            )
        return given(self.config.standardisation.pixels(images)[:, None]).to(images.device)


# What this process was given, by name and digest.
_known: dict[tuple[str, str], GivenEncoder] = {}


def _name_of(config: Any) -> tuple[str, str]:
    return config.encoder, config.encoder_digest


def _digest(encodings: Tensor) -> str:
    """A digest of the encodings, rounded to three digits of their spread so that machines agree."""
    spread = float(encodings.std()) or 1.0
    rounded = (encodings.double() / spread).mul(1000).round().to(torch.int64)
    return hashlib.sha256(rounded.numpy().tobytes()).hexdigest()[:12]
