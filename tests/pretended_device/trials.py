"""Small trials of every model, STN mode, precision and probe, run on the host or on a pretended device."""

import contextlib

import numpy as np

from tests.pretended_device.device import Pretended
from tests.small import small
from tivae import experiment, precision
from tivae.data import placement
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images
from tivae.models import MODELS, stn
from tivae.training import loop
from tivae.training.autoencoder import ModelTraining

CONFIGS = {
    "vae": {"train_dataset": "augmented"},
    "vae_sample": {"probe_features": "sample", "validation_images": 20, "train_images": 120},
    "nearest": {"train_dataset": "augmented", "interpolation": "nearest", "training_warps": "fixed"},
    "categorical": {"model": "categorical_vae", "latent_dim": 4, "categories": 5},
    "categorical_one_hot": {"model": "categorical_vae", "probe_features": "one_hot", "latent_dim": 4, "categories": 5},
    "categorical_probabilities": {"model": "categorical_vae", "probe_features": "probabilities", "latent_dim": 4},
    "autoencoder": {"model": "autoencoder"},
    "pretrained": {"stn": "pretrained", "stn_epochs": 1, "train_dataset": "augmented"},
    "pretrained_on_base": {"stn": "pretrained", "stn_epochs": 1, "probe_stn": "bypassed"},
    "joint": {"stn": "joint"},
    "inverse": {"stn": "inverse", "train_dataset": "augmented"},
    "consistency": {"consistency_weight": 1.0},
    "consistency_kl": {"consistency_weight": 1.0, "consistency_form": "kl", "model": "categorical_vae"},
    "base_target": {"reconstruction_target": "base", "train_dataset": "augmented"},
    "bf16": {"precision": "bf16", "stn": "joint"},
    "bf16_inverse": {"precision": "bf16", "stn": "inverse"},
    "float32": {"precision": "float32"},
    "cosine_svm": {"learning_rate_schedule": "cosine", "probe": "linear_svm", "probe_fit": "both"},
    "successive": {"train_dataset": "augmented", "resampling": "successive", "orbit_warps": 2},
    "corners": {"stn": "pretrained", "stn_epochs": 1, "stn_corners": "centres_in_grid_at_use"},
    "corners_joint": {"stn": "joint", "stn_corners": "centres", "resampling": "successive"},
    "pixels": {"model": "pixels"},
    "pca_behind_stn": {"model": "pca", "stn": "pretrained", "stn_epochs": 1},
    "hog": {"model": "hog", "train_dataset": "augmented"},
    "untrained": {"model": "untrained"},
    "moments": {"front": "moments", "train_dataset": "augmented", "orbit_warps": 2},
    "hog_behind_moments": {"model": "hog", "front": "moments", "orbit_warps": 2},
    "aet": {"model": "aet", "train_dataset": "augmented"},
    "aeae": {"model": "aeae", "train_dataset": "augmented", "latent_dim": 6},
    "spatial_vae": {"model": "spatial_vae", "train_dataset": "augmented", "decoder_width": 8},
    "supervised": {"model": "supervised", "train_dataset": "augmented", "residual_blocks": 1},
    "vicreg": {
        **{"model": "vicreg", "projector_width": 8, "train_dataset": "augmented"},
        **{"view_brightness": 0.3, "view_noise": 0.1, "view_erasing": 0.5},
    },
    "barlow_twins": {
        **{"model": "barlow_twins", "projector_width": 8, "reconstruction_weight": 10, "precision": "bf16"},
        **{"stn": "pretrained", "stn_epochs": 1},
    },
}
TRAINED = [name for name, fields in CONFIGS.items() if MODELS[fields.get("model", "vae")].is_trained]


def noise():
    """100 training and test images of noise, of all classes."""
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (200, 28, 28), dtype=np.uint8)
    labels = np.arange(200, dtype=np.uint8) % 10
    return Images(images, labels, images, labels, "noise")


HOST = noise()
_present = [None]


def config_of(name, **changes):
    return small(**({"train_images": 100, "epochs": 1, "hidden_widths": (4, 8)} | CONFIGS[name] | changes))


@contextlib.contextmanager
def on(device_type, **options):
    """A block in which the device is there, pretended; gives it, or None for the host."""
    if device_type == "cpu":
        yield None
        return
    with Pretended(device_type, **options) as device:
        _present[0] = device
        try:
            yield device
        finally:
            _present[0] = None


def noted(function, phase):
    """`function`, what it does being of the phase."""

    def run(*arguments):
        with contextlib.nullcontext() if _present[0] is None else _present[0].within(phase):
            return function(*arguments)

    return run


def trained(device_type, config, file=None, until=None, **options):
    """The training after all its epochs, or broken off after one, and the device."""
    with on(device_type, **options) as device:
        place = "cpu" if device is None else device.device
        frozen = stn.freeze(placement.place(stn.build(config), place)) if config.stn == "pretrained" else None
        data = TrialData(HOST, config, place)
        made = ModelTraining(config, data, frozen if config.front is None else experiment.fit_front(config, data))

        def stop(row):
            if row["epoch"] == until:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt), precision.of(config.precision, place):
            loop.train(made, file, stop)
        return made, device


def losses(metrics):
    """Metrics that rounding does not move by much, as it does accuracies on a hundred images of noise."""
    kept = {name: value for name, value in metrics.items() if name.endswith(("_loss", "_reconstruction"))}
    return {name: value for name, value in kept.items() if value is not None and "log_loss" not in name}
