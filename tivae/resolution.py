"""Resolution of a config: own fields of its model and probe, defaults, unused fields, refusals, and derived values."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from tivae.data import catalogue
from tivae.data.image_set import LEAST_IMAGES, DataError, ImageSet
from tivae.data.standardisation import Standardisation
from tivae.fields import ConfigError, checked, type_of
from tivae.registry import MODELS, PROBES

if TYPE_CHECKING:
    from tivae.config import TrialConfig

DEFAULT_PROBE = "logistic_regression"
# Optional fields that are None but for the models that give a default for them.
OF_SOME_MODELS = ("categories", "temperature", "minimum_temperature", "annealing_rate")
# Optional fields of training of which 0 is the same as None.
NONE_AT_0 = ("residual_blocks", "view_brightness", "view_noise", "view_erasing")


class Derived:
    """Values derived from the fields of a config."""

    @property
    def is_trained(self: Any) -> bool:
        """Whether gradient steps are made for the model."""
        return bool(MODELS[self.model].is_trained)

    @property
    def images(self: Any) -> ImageSet:
        """The data set: its size, classes, counts and files."""
        return catalogue.named(self.dataset, self.dataset_facts)

    @property
    def standardisation(self: Any) -> Standardisation:
        """The standardisation of pixels."""
        return Standardisation(self.images.mean, self.images.std if self.pixel_std is None else self.pixel_std)

    @property
    def has_front(self: Any) -> bool:
        """Whether an STN or a front stands before the model."""
        return bool(self.stn != "none" or self.front is not None)

    @property
    def has_second_view(self: Any) -> bool:
        """Whether each training image is encoded in a second view as well, with other warps."""
        return bool(self.consistency_weight is not None or "second" in MODELS[self.model].wants)

    @property
    def alters_views(self: Any) -> bool:
        """Whether views of training images are altered besides being warped."""
        return bool((self.view_brightness, self.view_noise, self.view_erasing) != (None, None, None))

    @property
    def read(self: Any) -> tuple[str | int | None, ...]:
        """The settings that decide which encodings of a training the probe reads."""
        return self.probe_features, self.probe_stn, self.orbit_warps

    @property
    def encoding_dim(self: Any) -> int:
        """Numbers per image in the encodings, whichever features are read."""
        return int(MODELS[self.model].encoding_dim(self))


class WithOwnFields(type):
    """Makes each config of the class that has the own fields of its model and its probe beside those of all configs.

        TrialConfig(probe="k_nearest", neighbours=5).neighbours  # 5
        TrialConfig(neighbours=5) == TrialConfig()  # True: no logistic regression has neighbours

    The own fields of other entries are left out, as a grid gives them to all of its trials.
    """

    def __call__(cls, *args: Any, **values: Any) -> Any:
        base: Any = next(parent for parent in reversed(cls.__mro__) if dataclasses.is_dataclass(parent))
        plain = {item.name: item for item in dataclasses.fields(base)}
        model = MODELS[MODELS.name_of(values.get("model", plain["model"].default))]
        probe = PROBES[PROBES.name_of(values.get("probe")) or PROBES.names[0]]
        chosen: Any = _with_fields(base, model, probe)
        if values.keys() - chosen.__dataclass_fields__.keys():
            elsewhere = own_fields()
            for name in values.keys() & elsewhere.keys() - chosen.__dataclass_fields__.keys():
                if values[name] is not None:
                    checked(elsewhere[name], values[name])
            values = {
                name: value
                for name, value in values.items()
                if name in chosen.__dataclass_fields__ or name not in elsewhere
            }
        return type.__call__(chosen, *args, **values)


def own_fields() -> dict[str, dataclasses.Field[Any]]:
    """The own fields of all models and probes that this process knows, by name."""
    entries = [(entry, False) for entry in MODELS.loaded.values()] + [(entry, True) for entry in PROBES.loaded.values()]
    return {item.name: item for entry, is_probe in entries for item in declared(entry, is_probe)}


@functools.cache
def declared(entry: Any, is_probe: bool) -> tuple[dataclasses.Field[Any], ...]:
    """The fields of the nested class `Fields` of a model or a probe, complete: with name, type and stage."""
    body = getattr(entry, "Fields", None)
    if body is None:
        return ()
    if "__dataclass_fields__" not in vars(body):
        dataclasses.dataclass(kw_only=True)(body)
    complete = dataclasses.make_dataclass(
        "Fields",
        [
            (
                item.name,
                type_of(item),
                dataclasses.field(
                    default=item.default, metadata={**item.metadata, **({"stage": "readout"} if is_probe else {})}
                ),
            )
            for item in dataclasses.fields(body)
        ],
    )
    return dataclasses.fields(complete)


def resolved_dataset(dataset: Any, facts: Any) -> tuple[str, str | None]:
    """A name and facts in the place of a path or a `package.module:Name`. Raises `ConfigError`."""
    if facts is not None and not isinstance(facts, str):
        raise ConfigError(f"`dataset_facts` is {facts!r}; leave it out, it follows from `dataset`", "dataset_facts")
    try:
        if not isinstance(dataset, str):
            raise DataError(f"`dataset` is {dataset!r}; it must be a name or a path")
        if not catalogue.is_resolved(dataset, facts):
            return catalogue.resolved(dataset)
        catalogue.named(dataset, facts)
    except DataError as problem:
        raise ConfigError(str(problem), "dataset") from None
    return dataset, facts


def unused(config: TrialConfig) -> dict[str, Any]:
    """The fields that decide nothing, with their values: None, or 0 epochs."""
    names = (*MODELS[config.model].unused(config), *PROBES[config.probe or DEFAULT_PROBE].unused)
    return dict.fromkeys(names) | ({} if config.is_trained else {"epochs": 0})


def defaults(config: TrialConfig) -> dict[str, Any]:
    """The fields with defaults filled in; None where a field decides nothing or repeats the default."""

    def default(name: str, value: Any, used: bool = True) -> Any:
        given = getattr(config, name)
        return None if not used else value if given is None else given

    own = {"reconstruction_weight": 1.0, **MODELS[config.model].defaults(config)}
    augmented = config.is_trained and config.train_dataset == "augmented"
    paired_stn = config.stn in ("pretrained", "joint")
    consistency = config.is_trained and bool(config.consistency_weight)
    has_base = augmented or paired_stn or config.front is not None
    compared = "second" in MODELS[config.model].wants
    return {
        "pixel_std": None if config.pixel_std == config.images.std else config.pixel_std,
        "training_warps": default("training_warps", "redrawn", paired_stn or augmented or consistency or compared),
        **dict.fromkeys(OF_SOME_MODELS),
        **{name: getattr(config, name) or None for name in NONE_AT_0},
        **{name: default(name, value) for name, value in own.items()},
        # A base image without a transformer in front is its own base image.
        "reconstruction_target": _unless("input", config.reconstruction_target) if has_base else None,
        "consistency_weight": config.consistency_weight if consistency else None,
        "consistency_form": default("consistency_form", "distance", consistency),
        "resampling": _unless("composed", config.resampling),
        "stn_corners": _unless("edges", config.stn_corners) if paired_stn else None,
        "stn_epochs": default("stn_epochs", 20, config.stn == "pretrained"),
        "stn_learning_rate": default("stn_learning_rate", 1e-3, config.stn != "none"),
        "alignment_weight": default(
            "alignment_weight",
            default("reconstruction_weight", own["reconstruction_weight"] or 1.0),
            config.stn == "joint",
        ),
        "precision": _unless("tf32", config.precision),
        "probe": _unless(DEFAULT_PROBE, config.probe),
        "probe_stn": _unless("used", config.probe_stn) if config.has_front else None,
        "probe_features": default("probe_features", MODELS[config.model].feature_names[0]),
    }


def check(config: TrialConfig) -> None:
    """Raises `ConfigError` where fields that are legal by themselves do not go together."""
    model = MODELS[config.model]
    if config.probe_features not in model.feature_names:
        raise ConfigError(
            f"`probe_features` is {config.probe_features}, which a {config.model} does not have; "
            f"it must be one of {', '.join(model.feature_names)}",
            "probe_features",
        )
    _check_images(config)
    if config.front is not None and config.stn != "none":
        raise ConfigError(
            f"`front` is {config.front} and `stn` is {config.stn}, but one of the two stands in front of the model; "
            "`stn` must be none",
            "front",
        )
    if config.stn == "joint" and config.stn_corners == "centres_in_grid_at_use":
        raise ConfigError(
            "`stn_corners` is centres_in_grid_at_use, but a joint STN is trained where it is used; it must be "
            "centres_in_grid, or `stn` pretrained",
            "stn_corners",
        )
    if config.stn == "inverse" and config.reconstruction_target == "base":
        raise ConfigError(
            "`reconstruction_target` is base, but the inverse STN is scored against its own input; it must be input",
            "reconstruction_target",
        )
    if config.alters_views and config.reconstruction_weight is not None and config.reconstruction_target != "base":
        raise ConfigError(
            "views of training images are altered (view_brightness, view_noise or view_erasing), and what is decoded "
            "must not be; `reconstruction_target` must be base, with `train_dataset` augmented",
            "reconstruction_target",
        )
    if "warps" in model.wants and (config.train_dataset != "augmented" or config.has_front):
        raise ConfigError(
            f"`model` is {config.model}, which learns from the warps of what it sees; `train_dataset` must be "
            "augmented, and nothing may stand in front of it",
            "model",
        )
    if config.consistency_form == "kl" and not model.has_posterior:
        raise ConfigError(
            f"`consistency_form` is kl, but {config.model} has no posterior; it must be distance", "consistency_form"
        )
    model.check(config)


def _check_images(config: TrialConfig) -> None:
    """Refuses more images, and longer shifts, than the data set has room for."""
    images = config.images
    left = max((config.train_images or images.train_images) - LEAST_IMAGES, 0)
    train, test = (f"the {count:,} of {images.title}" for count in (images.train_images, images.test_images))
    bounds = {
        "train_images": (images.train_images, train),
        "test_images": (images.test_images, test),
        "batch_size": (images.train_images, train),
        "shift_pixels": (images.size, f"the size of the images of {images.title}"),
        "validation_images": (left, f"so that {LEAST_IMAGES} training images are left"),
    }
    for name, (most, why) in bounds.items():
        value = getattr(config, name)
        if value is not None and value > most:
            raise ConfigError(f"`{name}` is {value}; it must be at most {most}, {why}", name)


@functools.cache
def _with_fields(base: Any, model: Any, probe: Any) -> Any:
    own = (*declared(model, False), *declared(probe, True))
    if not own:
        return base
    for item in own:
        if item.name in base.__dataclass_fields__ or [other.name for other in own].count(item.name) > 1:
            raise ConfigError(
                f"`{item.name}` is a field of {model.__name__} or {probe.__name__} and of others; rename it"
            )
    return dataclasses.make_dataclass(
        base.__name__,
        [(item.name, item.type, dataclasses.field(default=item.default, metadata=item.metadata)) for item in own],
        bases=(base,),
        namespace={"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__},
        frozen=True,
        kw_only=True,
    )


def _unless(default: str, value: str | None) -> str | None:
    """None for the default written out, so that it has the key of the field left alone."""
    return None if value == default else value
