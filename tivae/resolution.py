"""What the choice of model, STN and probe makes of a config's other fields: defaults, unused fields, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tivae.data.image_set import LEAST_IMAGES
from tivae.fields import ConfigError

if TYPE_CHECKING:
    from tivae.config import TrialConfig

# What the encoder of each model offers to a probe, the default first.
MODEL_FEATURES = {
    "vae": ("mean", "sample"),
    "categorical_vae": ("logits", "probabilities", "one_hot", "sample"),
    "autoencoder": ("code",),
    "pixels": ("pixels",),
    "pca": ("components",),
    "untrained": ("mean",),
}

# Models of the same grid that no gradient step is made for.
CONTROLS = ("pixels", "pca", "untrained")

# Fields of gradient training, without those that a pretrained STN needs as well.
_TRAINING_FIELDS = (
    *("output_activation", "reconstruction_weight", "kl_weight", "learning_rate", "learning_rate_schedule"),
    *("reconstruction_target", "consistency_weight", "consistency_form"),
)


def unused(config: TrialConfig) -> dict[str, Any]:
    """The fields of the class that `config` has no use for, with what stands there: None, or 0 epochs."""
    names: list[str] = ["kl_weight"] if config.model == "autoencoder" else []
    if config.model in CONTROLS:
        names += _TRAINING_FIELDS
        names += ["batch_size", "weight_decay", "precision"] if config.stn != "pretrained" else []
        names += ["hidden_widths"] if config.model != "untrained" else []
        names += ["latent_dim"] if config.model == "pixels" else []
        names += ["train_dataset"] if config.model != "pca" and config.probe_fit != "training" else []
    return dict.fromkeys(names) | ({"epochs": 0} if config.model in CONTROLS else {})


def defaults(config: TrialConfig) -> dict[str, Any]:
    """Model-dependent defaults filled in; None where a field decides nothing, or only repeats what is so without it."""

    def default(name: str, value: Any, used: bool = True) -> Any:
        given = getattr(config, name)
        return None if not used else value if given is None else given

    trained = config.model not in CONTROLS
    categorical = config.model == "categorical_vae"
    augmented = trained and config.train_dataset == "augmented"
    paired_stn = config.stn in ("pretrained", "joint")
    temperature = default("temperature", 0.5, categorical)
    reconstruction_weight = default("reconstruction_weight", 30.0 if categorical else 1.0)
    consistency = trained and bool(config.consistency_weight)
    return {
        "pixel_std": None if config.pixel_std == config.images.std else config.pixel_std,
        "training_warps": default("training_warps", "redrawn", paired_stn or augmented or consistency),
        "categories": default("categories", 10, categorical),
        "temperature": temperature,
        "minimum_temperature": default("minimum_temperature", temperature, categorical),
        "annealing_rate": default("annealing_rate", 3e-5, categorical),
        "reconstruction_weight": reconstruction_weight,
        # A base image without a transformer in front is its own base image.
        "reconstruction_target": _unless("input", config.reconstruction_target) if augmented or paired_stn else None,
        "consistency_weight": config.consistency_weight if consistency else None,
        "consistency_form": default("consistency_form", "distance", consistency),
        "stn_epochs": default("stn_epochs", 20, config.stn == "pretrained"),
        "stn_learning_rate": default("stn_learning_rate", 1e-3, config.stn != "none"),
        "alignment_weight": default("alignment_weight", reconstruction_weight, config.stn == "joint"),
        "precision": _unless("tf32", config.precision),
        "probe": _unless("logistic_regression", config.probe),
        "probe_stn": _unless("used", config.probe_stn) if config.stn != "none" else None,
        "probe_features": default("probe_features", MODEL_FEATURES[config.model][0]),
    }


def check(config: TrialConfig) -> None:
    """Raises `ConfigError` where fields that are legal by themselves do not go together."""
    model = config.model
    if config.probe_features not in MODEL_FEATURES[model]:
        raise ConfigError(
            f"`probe_features` is {config.probe_features}, which a {model} does not have; "
            f"it must be one of {', '.join(MODEL_FEATURES[model])}",
            "probe_features",
        )
    if config.minimum_temperature is not None and config.minimum_temperature > (config.temperature or 0):
        raise ConfigError(
            f"`minimum_temperature` is {config.minimum_temperature}; it must be at most `temperature`, "
            f"which is {config.temperature}",
            "minimum_temperature",
        )
    _check_images(config)
    if model in CONTROLS and config.stn in ("joint", "inverse"):
        raise ConfigError(
            f"`stn` is {config.stn}, which is trained with the model, and {model} is not trained; "
            "it must be none or pretrained",
            "stn",
        )
    if config.stn == "inverse" and config.reconstruction_target == "base":
        raise ConfigError(
            "`reconstruction_target` is base, but the inverse STN is scored against its own input; it must be input",
            "reconstruction_target",
        )
    if config.consistency_form == "kl" and model == "autoencoder":
        raise ConfigError(
            "`consistency_form` is kl, but an autoencoder has no posterior; it must be distance", "consistency_form"
        )
    if model == "pca" and config.latent_dim > config.images.pixels:
        most = config.images.pixels
        raise ConfigError(
            f"`latent_dim` is {config.latent_dim}; it must be at most {most}, the components of an image", "latent_dim"
        )


def _check_images(config: TrialConfig) -> None:
    """Refuses more images, and longer shifts, than the data set has room for."""
    images = config.images
    left = max((config.train_images or images.train_images) - LEAST_IMAGES, 0)
    all_train, all_test = (f"the {count:,} of {images.title}" for count in (images.train_images, images.test_images))
    bounds = {
        "train_images": (images.train_images, all_train),
        "test_images": (images.test_images, all_test),
        "batch_size": (images.train_images, all_train),
        "shift_pixels": (images.size, f"the size of the images of {images.title}"),
        "validation_images": (left, f"so that {LEAST_IMAGES} training images are left"),
    }
    for name, (most, why) in bounds.items():
        value = getattr(config, name)
        if value is not None and value > most:
            raise ConfigError(f"`{name}` is {value}; it must be at most {most}, {why}", name)


def _unless(default: str, value: str | None) -> str | None:
    """None for the default written out, so that it has the key of the field left alone."""
    return None if value == default else value
