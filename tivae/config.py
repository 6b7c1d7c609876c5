"""One trial's configuration: everything that decides its result, and nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import TYPE_CHECKING, Any

from tivae import resolution
from tivae.data import catalogue
from tivae.data.image_set import LEAST_IMAGES, DataError
from tivae.fields import RECIPE, ConfigError, Keyed, checked, choice, entry, number, other, text
from tivae.registry import FRONTS, MODELS, PROBES
from tivae.resolution import Derived, WithOwnFields, own_fields

__all__ = ["FIELDS", "FIELD_NAMES", "RECIPE", "ConfigError", "TrialConfig", "check_field_name", "known_fields"]

# Fields that earlier records have under another name.
RENAMED = {"pixel_deviation": "pixel_std"}


def _warps_stage(config: TrialConfig) -> str:
    if config.stn == "pretrained":
        return "stn"
    # The bounds and the fill of an STN or a front are those of the warps, and so are those of a model's own pose.
    is_bounded = config.has_front or MODELS[config.model].has_pose
    return "evaluation" if config.training_warps is None and not is_bounded else "training"


def _corners_stage(config: TrialConfig) -> str:
    return "stn" if config.stn == "pretrained" and config.stn_corners != "centres_in_grid_at_use" else "training"


def _epochs_stage(config: TrialConfig) -> str:
    # With a constant learning rate the first 5 of 20 epochs are those of 5.
    return "readout" if config.learning_rate_schedule == "constant" else "training"


@dataclass(frozen=True, kw_only=True)
class TrialConfig(Derived, Keyed, metaclass=WithOwnFields):
    """The configuration of one trial: what is trained, on what, and how it is read out.

    Two configs with equal fields are the same trial (`key`). Each field declares the first stage that it decides (see
    `fields.STAGES`); trials that agree in all fields of a stage and of those before it share that stage's work.

    A field that the chosen model or mode does not use is set to None, so that a grid crossing it with that model makes
    one trial and not several equal ones. Fields left at None take the default of the chosen model. Models that are not
    trained (`pixels`, `pca`, `hog`, `untrained`) have 0 `epochs`. What decides nothing is None also in fields that are
    typed without it. A config has the own fields of its model and its probe as well (`tivae.registry`).

    Raises `ConfigError` (a `ValueError`) naming value, rule and field.
    """

    # What is varied in the paper
    train_dataset: str = choice("base", "base", "augmented", help="what the model is trained on")
    model: str = entry("vae", MODELS, help="what is trained, or a control that is not (pixels, pca, hog, untrained)")
    stn: str = choice(
        "none",
        *("none", "pretrained", "joint", "inverse"),
        help="spatial transformer in front of the model; joint and inverse are trained with it",
    )
    front: str | None = entry(
        None,
        FRONTS,
        help="what stands in front of the model in the place of an STN, without training; default null, none",
    )
    seed: int = number(
        0, 0, 2**31 - 1, stage="stn", help="of weights, shuffling, warps and noise; zero is a valid seed"
    )

    # Data
    dataset: str = text(
        catalogue.DEFAULT,
        stage="stn",
        help="the images: fashion_mnist, mnist, kmnist, qmnist or emnist, the path of a .npz file or of a folder of "
        "images, or package.module:Name",
    )
    dataset_facts: str | None = text(
        None,
        stage="stn",
        most_letters=100_000,
        help="size, classes and digest of images that are in no catalogue; filled in from `dataset`",
    )
    train_images: int | None = number(None, LEAST_IMAGES, stage="stn", help="first N training images; null: all")
    test_images: int | None = number(None, LEAST_IMAGES, stage="evaluation", help="first N test images; null: all")
    validation_images: int | None = number(
        None, 1, stage="stn", help="the last N training images, held out of all training; null: none"
    )
    pixel_std: float | None = number(
        None,
        above=0,
        high=10,
        stage="stn",
        help="images are divided by it; default: that of all training pixels of the data set",
    )

    # Warps of the augmented dataset (paper, section 3.1), each applied with `warp_probability`
    rotation_degrees: float = number(10.0, 0, 180, stage=_warps_stage, help="uniform in +-this")
    shift_pixels: float = number(
        4.0,
        0,
        stage=_warps_stage,
        help="uniform in +-this, along x and along y, one coin for both; in pixels, whatever the size of an image",
    )
    scale_range: float = number(0.2, 0, 0.9, stage=_warps_stage, help="scale uniform in 1 +- this")
    warp_probability: float = number(
        0.5, 0, 1, stage=_warps_stage, help="of rotation, of shift and of scale, independently"
    )
    interpolation: str = choice("bilinear", "bilinear", "nearest", stage=_warps_stage, help="of warped images")
    fill: str = choice(
        "black", "black", "grey", stage=_warps_stage, help="outside the frame: pixel 0, or the data set's mean"
    )
    whole_pixel_shifts: bool = other(
        False, stage=_warps_stage, help="round shifts to whole pixels, as torchvision's RandomAffine does"
    )
    resampling: str | None = choice(
        None,
        *("composed", "successive"),
        stage=_warps_stage,
        help="of warped images: once by the composed warp (default), or by rotation, scale and shift one after another",
    )
    training_warps: str | None = choice(
        None,
        *("redrawn", "fixed"),
        stage="stn",
        help="augmented training images: new warps every epoch (default) or one set",
    )

    # Model
    latent_dim: int = number(10, 1, 10_000, help="Gaussian latents, or categorical variables")
    categories: int | None = number(None, 2, 10_000, help="classes of each categorical variable; default 10")
    hidden_widths: tuple[int, ...] = other(
        (32, 64, 128), help="channels of the encoder's stride-2 convolutions, 1 to 4 of them"
    )
    residual_blocks: int | None = number(
        None, 0, 8, help="of the encoder, behind each stride-2 convolution (He et al. 2016); default 0"
    )
    output_activation: str = choice("tanh", "tanh", "linear", help="of the decoder; PyTorch-VAE ends in tanh")
    temperature: float | None = number(
        None, above=0, high=100, help="Gumbel-softmax temperature at step 0; default 0.5 (PyTorch-VAE)"
    )
    minimum_temperature: float | None = number(None, above=0, high=100, help="annealing stops there; default 0.5")
    annealing_rate: float | None = number(None, 0, 1, help="temperature decay per optimiser step; default 3e-5")

    # Loss = reconstruction_weight * MSE (mean over pixels) + kl_weight * KL (nats per image)
    reconstruction_weight: float | None = number(
        None,
        above=0,
        help="default 1 for the VAE, 30 for the categorical VAE (PyTorch-VAE's alpha), none for joint embeddings",
    )
    kl_weight: float = number(0.001, 0, help="paper, section 3.2")
    reconstruction_target: str | None = choice(
        None, "input", "base", help="what is decoded: the model's input (default) or its base image"
    )
    consistency_weight: float | None = number(
        None, 0, help="of the distance between the encodings of two views of an image; default 0, no second view"
    )
    consistency_form: str | None = choice(
        None, "distance", "kl", help="squared distance over the encodings' variance (default), or KL of the posteriors"
    )

    # What else is changed in training images, in each view of them; never in what is decoded, probed or tested
    view_brightness: float | None = number(None, 0, 1, help="pixels are multiplied by 1 +- this, uniform; default 0")
    view_noise: float | None = number(
        None, 0, 10, help="standard deviation of Gaussian noise, in units of the pixels' own; default 0"
    )
    view_erasing: float | None = number(
        None, 0, 1, help="probability that a rectangle is erased (Zhong et al. 2020); default 0"
    )

    # Optimiser
    epochs: int = number(20, 1, 100_000, stage=_epochs_stage, help="passes over the training images")
    batch_size: int = number(64, 2, stage="stn", help="images; the last, smaller batch of an epoch is used too")
    learning_rate: float = number(1e-3, above=0, help="of AdamW")
    weight_decay: float = number(0.01, 0, stage="stn", help="of AdamW; torch's default")
    learning_rate_schedule: str = choice("constant", "constant", "cosine", help="cosine falls to 0 at the end")

    precision: str | None = choice(
        None,
        *("tf32", "float32", "bf16"),
        stage="stn",
        help="of products and convolutions on a GPU; default tf32; see `precision.py`",
    )

    # STN: pretrained augmented -> base with MSE (paper, section 3.2), or trained with the model
    stn_epochs: int | None = number(None, 1, 100_000, stage="stn", help="of pretraining; default 20")
    stn_learning_rate: float | None = number(None, above=0, stage="stn", help="of AdamW; default 1e-3")
    stn_corners: str | None = choice(
        None,
        *("edges", "centres_in_grid_at_use", "centres_in_grid", "centres"),
        stage=_corners_stage,
        help="align_corners of affine_grid and grid_sample: edges: False in both (default); centres_in_grid: True in "
        "affine_grid alone; centres_in_grid_at_use: so only where a pretrained STN is used; centres: True in both",
    )
    alignment_weight: float | None = number(
        None, 0, help="joint STN: of the MSE augmented -> base in the loss; default `reconstruction_weight`"
    )

    # Probe: a classifier of the encodings of the training images
    probe: str | None = entry(None, PROBES, stage="readout", help="the classifier; default logistic_regression")
    probe_features: str | None = text(
        None,
        stage="readout",
        help="default: mean (vae, untrained), logits (categorical_vae), pixels, components (pca, hog), code (others)",
    )
    probe_stn: str | None = choice(
        None,
        *("used", "bypassed"),
        stage="readout",
        help="whether the images whose encodings the probe sees pass through the STN (used, default) or not (bypassed)",
    )
    orbit_warps: int | None = number(
        None,
        2,
        256,
        stage="readout",
        help="number of random warps of each image that its encoding is averaged over; default: none",
    )
    probe_fit: str = choice(
        "matched",
        *("matched", "base", "augmented", "both", "training"),
        stage="readout",
        help="training encodings it is fitted on; matched: like each test set; training: `train_dataset`'s",
    )
    probe_regularisation: float = number(
        1.0, above=0, stage="readout", help="scikit-learn's C, the inverse strength of the L2 penalty"
    )

    def __post_init__(self) -> None:
        dataset, facts = resolution.resolved_dataset(self.dataset, self.dataset_facts)
        object.__setattr__(self, "dataset", dataset)
        object.__setattr__(self, "dataset_facts", facts)
        for item in (FIELDS["model"], FIELDS["probe"]):
            object.__setattr__(self, item.name, checked(item, getattr(self, item.name)))
        unused = resolution.unused(self)
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name not in unused or (type(value), value) != (type(unused[item.name]), unused[item.name]):
                object.__setattr__(self, item.name, checked(item, value))
        # Only now, since the unused fields follow from those checked above.
        for name, value in (resolution.defaults(self) | resolution.unused(self)).items():
            object.__setattr__(self, name, value)
        resolution.check(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # The class of a config with own fields can't be found by its name.
        return TrialConfig.from_dict, (self.to_dict(),)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> None:
            """None for the own fields of other models and probes, as for any field that decides nothing."""
            if name.startswith("_") or name not in own_fields():
                raise AttributeError(f"a TrialConfig has no field {name}")

    def with_seed(self, seed: int) -> TrialConfig:
        """The same with another seed, on which no other field depends: nothing else is checked again."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, seed=checked(FIELDS["seed"], seed))
        return made

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return values | {"hidden_widths": list(self.hidden_widths) if self.hidden_widths else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialConfig:
        """The inverse of `to_dict`; refuses unknown fields.

        It may be of a stranger: no images are read, and no module is run, that it may name as its data set.
        """
        values = {RENAMED.get(name, name): value for name, value in values.items()}
        # Model and probe declare fields, which are known from here on.
        for item in (FIELDS["model"], FIELDS["probe"]):
            checked(item, values.get(item.name, item.default))
        for name in values:
            check_field_name(name)
        try:
            catalogue.named(values.get("dataset", catalogue.DEFAULT), values.get("dataset_facts"))
        except DataError as problem:
            raise ConfigError(str(problem), "dataset") from None
        return cls(**values)


FIELDS = {item.name: item for item in fields(TrialConfig)}
FIELD_NAMES = tuple(FIELDS)


def known_fields() -> dict[str, Field[Any]]:
    """The fields of all configs, and the own ones of the models and probes that this process knows, by name."""
    # A field of all configs stays what it is, whatever entry of the same name has been refused.
    return FIELDS | {name: item for name, item in own_fields().items() if name not in FIELDS}


def check_field_name(name: object) -> None:
    """Raises `ConfigError` with the nearest known name where `name` is no field of a config."""
    if name in FIELD_NAMES or name in known_fields():
        return
    near = difflib.get_close_matches(str(name), list(known_fields()), n=1)
    hint = f"did you mean `{near[0]}`?" if near else "see `python -m study.run --fields`"
    raise ConfigError(f"`{name}` is not a field of a trial; {hint}", str(name))
