"""One trial's configuration: everything that decides its result, and nothing else."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

# Part of every key. Raise it when a change of code changes the figures of an unchanged config.
RECIPE = 1


class ConfigError(ValueError):
    """A value that a config refuses; `field_name` says which field it belongs to."""

    def __init__(self, message: str, field_name: str | None = None):
        super().__init__(message)
        self.field_name = field_name


def _choice(default: str | None, *allowed: str, help: str) -> Any:
    return field(default=default, metadata={"allowed": allowed, "help": help})


def _number(
    default: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    above: float | None = None,
    help: str,
) -> Any:
    """`low` and `high` are legal values themselves, `above` is not."""
    return field(default=default, metadata={"low": low, "high": high, "above": above, "help": help})


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """What is trained, on what, and how it is read out.

    Two configs with equal fields are the same trial (`key`). A field that the chosen model or mode does not
    use is set to None, so that a grid crossing it with that model makes one trial and not several equal ones.
    Fields left at None take the default of the chosen model.

    Raises `ConfigError` (a `ValueError`) naming value, rule and field.
    """

    # What is varied in the paper
    train_dataset: str = _choice("base", "base", "augmented", help="what the model is trained on")
    model: str = _choice("vae", "vae", "categorical_vae", help="the autoencoder")
    stn: str = _choice("none", "none", "pretrained", help="spatial transformer in front of the model")
    seed: int = _number(0, 0, 2**31 - 1, help="of weights, shuffling, warps and noise; zero is a valid seed")

    # Data
    dataset: str = _choice("fashion_mnist", "fashion_mnist", help="the images")
    train_images: int | None = _number(None, 100, 60_000, help="first N training images; None: all 60,000")
    test_images: int | None = _number(None, 100, 10_000, help="first N test images; None: all 10,000")

    # Warps of the augmented dataset (paper, section 3.1), each applied with `warp_probability`
    rotation_degrees: float = _number(10.0, 0, 180, help="uniform in +-this")
    shift_pixels: float = _number(4.0, 0, 28, help="uniform in +-this, along x and along y, one coin for both")
    scale_range: float = _number(0.2, 0, 0.9, help="scale uniform in 1 +- this")
    warp_probability: float = _number(0.5, 0, 1, help="of rotation, of shift and of scale, independently")
    interpolation: str = _choice("bilinear", "bilinear", "nearest", help="of warped images")
    fill: str = _choice("black", "black", "grey", help="outside the frame: pixel 0, or the data set's mean")
    whole_pixel_shifts: bool = field(
        default=False, metadata={"help": "round shifts to whole pixels, as torchvision's RandomAffine does"}
    )
    training_warps: str | None = _choice(
        None, "redrawn", "fixed", help="augmented training images: new warps every epoch (default) or one set"
    )

    # Model
    latent_dim: int = _number(10, 1, 10_000, help="Gaussian latents, or categorical variables")
    categories: int | None = _number(None, 2, 10_000, help="classes of each categorical variable; default 10")
    hidden_widths: tuple[int, ...] = field(
        default=(32, 64, 128),
        metadata={"help": "channels of the encoder's stride-2 convolutions, 1 to 4 of them"},
    )
    output_activation: str = _choice("tanh", "tanh", "linear", help="of the decoder; PyTorch-VAE ends in tanh")
    temperature: float | None = _number(
        None, above=0, high=100, help="Gumbel-softmax temperature at step 0; default 0.5 (PyTorch-VAE)"
    )
    minimum_temperature: float | None = _number(None, above=0, high=100, help="annealing stops there; default 0.5")
    annealing_rate: float | None = _number(None, 0, 1, help="temperature decay per optimiser step; default 3e-5")

    # Loss = reconstruction_weight * MSE (mean over pixels) + kl_weight * KL (nats per image)
    reconstruction_weight: float | None = _number(
        None, above=0, help="default 1 for the VAE, 30 for the categorical VAE (PyTorch-VAE's alpha)"
    )
    kl_weight: float = _number(0.001, 0, help="paper, section 3.2")

    # Optimiser
    epochs: int = _number(20, 1, 100_000, help="passes over the training images")
    batch_size: int = _number(64, 2, 60_000, help="images; the last, smaller batch of an epoch is used too")
    learning_rate: float = _number(1e-3, above=0, help="of AdamW")
    weight_decay: float = _number(0.01, 0, help="of AdamW; torch's default")
    learning_rate_schedule: str = _choice("constant", "constant", "cosine", help="cosine falls to 0 at the end")

    # STN pretraining, augmented -> base with MSE (paper, section 3.2)
    stn_epochs: int | None = _number(None, 1, 100_000, help="default 20")
    stn_learning_rate: float | None = _number(None, above=0, help="of AdamW; default 1e-3")

    # Probe: logistic regression on the encodings of the training images
    probe_features: str | None = _choice(
        None,
        "mean",
        "logits",
        "probabilities",
        "one_hot",
        help="default: mean (vae), logits (categorical_vae)",
    )
    probe_fit: str = _choice(
        "matched",
        *("matched", "base", "augmented", "training"),
        help="training encodings it is fitted on; matched: the kind of each test set; training: `train_dataset`",
    )
    probe_regularisation: float = _number(1.0, above=0, help="scikit-learn's C, the inverse strength of the L2 penalty")

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))
        for name, value in self._resolved().items():
            object.__setattr__(self, name, value)
        allowed = MODEL_FEATURES[self.model]
        if self.probe_features not in allowed:
            raise ConfigError(
                f"`probe_features` is {self.probe_features}, which a {self.model} does not have; "
                f"it must be one of {', '.join(allowed)}",
                "probe_features",
            )
        if self.minimum_temperature is not None and self.minimum_temperature > (self.temperature or 0):
            raise ConfigError(
                f"`minimum_temperature` is {self.minimum_temperature}; it must be at most `temperature`, "
                f"which is {self.temperature}",
                "minimum_temperature",
            )

    def _resolved(self) -> dict[str, Any]:
        """Model-dependent defaults filled in, fields that decide nothing set to None."""

        def default(name: str, value: Any, used: bool = True) -> Any:
            given = getattr(self, name)
            return None if not used else value if given is None else given

        categorical = self.model == "categorical_vae"
        stn = self.stn != "none"
        temperature = default("temperature", 0.5, categorical)
        return {
            "training_warps": default("training_warps", "redrawn", stn or self.train_dataset == "augmented"),
            "categories": default("categories", 10, categorical),
            "temperature": temperature,
            "minimum_temperature": default("minimum_temperature", temperature, categorical),
            "annealing_rate": default("annealing_rate", 3e-5, categorical),
            "reconstruction_weight": default("reconstruction_weight", 30.0 if categorical else 1.0),
            "stn_epochs": default("stn_epochs", 20, stn),
            "stn_learning_rate": default("stn_learning_rate", 1e-3, stn),
            "probe_features": default("probe_features", MODEL_FEATURES[self.model][0]),
        }

    @property
    def key(self) -> str:
        """12 hexadecimal digits that name this trial by its content."""
        return _digest(self.to_dict())

    @property
    def stn_key(self) -> str | None:
        """12 hexadecimal digits that name the pretrained STN this trial needs; None where it needs none.

        Trials that differ only in what does not reach the STN's pretraining share one STN.
        """
        if self.stn != "pretrained":
            return None
        return _digest({name: getattr(self, name) for name in STN_FIELDS})

    @property
    def encoding_dim(self) -> int:
        """Numbers per image in `mean`, `logits`, `probabilities` or `one_hot` encodings."""
        return self.latent_dim * (self.categories or 1)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return values | {"hidden_widths": list(self.hidden_widths)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialConfig:
        """The inverse of `to_dict`; refuses unknown fields."""
        for name in values:
            check_field_name(name)
        return cls(**values)


# What the encoder of each model offers to a probe, the default first.
MODEL_FEATURES = {
    "vae": ("mean",),
    "categorical_vae": ("logits", "probabilities", "one_hot"),
}

# What decides a pretrained STN.
STN_FIELDS = (
    *("dataset", "train_images", "rotation_degrees", "shift_pixels", "scale_range", "warp_probability"),
    *("interpolation", "fill", "whole_pixel_shifts", "training_warps"),
    *("batch_size", "weight_decay", "stn_epochs", "stn_learning_rate", "seed"),
)

FIELD_NAMES = tuple(item.name for item in fields(TrialConfig))


def check_field_name(name: object) -> None:
    """Raises `ConfigError` with the nearest known name where `name` is no field of `TrialConfig`."""
    if name in FIELD_NAMES:
        return
    near = difflib.get_close_matches(str(name), FIELD_NAMES, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"it must be one of {', '.join(FIELD_NAMES)}"
    raise ConfigError(f"`{name}` is not a field of a trial; {hint}", str(name))


def _digest(values: Mapping[str, Any]) -> str:
    # Unset fields are left out, so that a field added later leaves the keys of finished trials as they are.
    content = {name: value for name, value in values.items() if value is not None} | {"recipe": RECIPE}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _checked(item: dataclasses.Field[Any], value: Any) -> Any:
    """`value` in the field's own type (an int where a float is meant becomes one), or a `ConfigError`."""
    if value is None and item.default is None:
        return None
    if item.name == "hidden_widths":
        return _checked_widths(value)
    if "allowed" in item.metadata:
        if value not in item.metadata["allowed"] or not isinstance(value, str):
            rule = f"it must be {' or '.join(item.metadata['allowed'])}"
            raise ConfigError(f"`{item.name}` is {value!r}; {rule}", item.name)
        return value
    if isinstance(item.default, bool):
        if not isinstance(value, bool):
            raise ConfigError(f"`{item.name}` is {value!r}; it must be true or false", item.name)
        return value
    return _checked_number(item, value)


def _checked_number(item: dataclasses.Field[Any], value: Any) -> int | float:
    whole = str(item.type).startswith("int")
    kind = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = ""
        if isinstance(value, str):
            hint = " (YAML reads 1e-3 as text; write 1.0e-3 or 0.001)" if _looks_like_number(value) else ""
        raise ConfigError(f"`{item.name}` is {value!r}; it must be {kind}{hint}", item.name)
    if whole and (isinstance(value, float) and not value.is_integer()):
        raise ConfigError(f"`{item.name}` is {value!r}; it must be {kind}", item.name)
    try:
        number = int(value) if whole else float(value)
    except OverflowError:
        number = math.inf
    low, high, above = (item.metadata[bound] for bound in ("low", "high", "above"))
    rules = []
    if low is not None:
        rules.append(f"at least {low:g}" if abs(low) < 1e6 else f"at least {low}")
    if above is not None:
        rules.append(f"above {above:g}")
    if high is not None:
        rules.append(f"at most {high}")
    fits = math.isfinite(number) and (low is None or number >= low) and (above is None or number > above)
    if not fits or (high is not None and number > high):
        shown = repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:37]}..."
        raise ConfigError(f"`{item.name}` is {shown}; it must be {kind} {' and '.join(rules)}", item.name)
    return number


def _checked_widths(value: Any) -> tuple[int, ...]:
    good = isinstance(value, list | tuple) and 1 <= len(value) <= 4
    if not good or any(isinstance(w, bool) or not isinstance(w, int) or not 1 <= w <= 4096 for w in value):
        rule = "it must be a list of 1 to 4 whole numbers from 1 to 4096"
        raise ConfigError(f"`hidden_widths` is {value!r}; {rule}", "hidden_widths")
    return tuple(value)


def _looks_like_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
