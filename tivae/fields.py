"""Fields of a config: declaration, validation, and the keys that follow from their stages."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tivae.registry import Registry

# What a field decides, and with it all that follows: the weights of a pretrained STN, those of the model, what the
# losses after each epoch are measured on, and what is read from the trained model. Where it depends on other fields of
# the config, a function of the config says it.
STAGES = ("stn", "training", "evaluation", "readout")
MOST_LETTERS = 200
# Part of every key. Raise it when a change of code changes the numbers of an unchanged config.
RECIPE = 2
Stage = str | Callable[[Any], str]


class ConfigError(ValueError):
    """A value that a config refuses; `field_name` says which field it belongs to."""

    def __init__(self, message: str, field_name: str | None = None):
        super().__init__(message)
        self.field_name = field_name


def choice(default: str | None, *allowed: str, stage: Stage = "training", help: str) -> Any:
    return field(default=default, metadata={"allowed": allowed, "stage": stage, "help": help})


def entry(default: str | None, registry: Registry[Any], *, stage: Stage = "training", help: str) -> Any:
    """The name of one of the registry's entries; `package.module:Name` names one from elsewhere."""
    return field(
        default=default, metadata={"allowed": registry.names, "registry": registry, "stage": stage, "help": help}
    )


def text(default: str | None, *, stage: Stage = "training", most_letters: int = MOST_LETTERS, help: str) -> Any:
    """A word or a line, of which other fields decide whether it is legal."""
    return field(default=default, metadata={"text": most_letters, "stage": stage, "help": help})


def other(default: Any, *, stage: Stage = "training", help: str) -> Any:
    """A field that is neither a choice nor a number."""
    return field(default=default, metadata={"stage": stage, "help": help})


def number(
    default: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    above: float | None = None,
    stage: Stage = "training",
    help: str,
) -> Any:
    """`low` and `high` are legal values themselves, `above` is not."""
    return field(default=default, metadata={"low": low, "high": high, "above": above, "stage": stage, "help": help})


def stage_of(item: dataclasses.Field[Any], config: Any) -> int:
    """The position in `STAGES` of the first stage that the field decides in `config`."""
    stage = item.metadata["stage"]
    return STAGES.index(stage if isinstance(stage, str) else stage(config))


class Keyed:
    """The keys of a config: each a digest of the fields that decide a stage, and of those of the stages before it."""

    @property
    def key(self: Any) -> str:
        """12 hexadecimal digits that name this trial by its content."""
        return str(self._key_of("readout"))

    @property
    def stn_key(self: Any) -> str | None:
        """12 hexadecimal digits that name the pretrained STN this trial needs; None where it needs none.

        Trials that differ only in what does not reach the STN's pretraining share one STN.
        """
        return self._key_of("stn") if self.stn == "pretrained" else None

    @property
    def training_key(self: Any) -> str | None:
        """12 hexadecimal digits that name the training this trial reads out; None for a control.

        All that moves a weight decides it, but for the number of epochs where the learning rate is constant: trials
        that differ in `epochs` alone are read out along one training.
        """
        return self._key_of("training") if self.is_trained else None

    @property
    def evaluation_key(self: Any) -> str | None:
        """12 hexadecimal digits that name the training with the images its losses are measured on after each epoch."""
        return self._key_of("evaluation") if self.is_trained else None

    def _key_of(self: Any, stage: str) -> str:
        # Own images are what their content says, wherever they lie and whatever they are called.
        values = self.to_dict() | {"dataset": self.images.sha256 or self.dataset, "dataset_facts": None}
        last = STAGES.index(stage)
        names = [item.name for item in dataclasses.fields(self) if stage_of(item, self) <= last]
        # Unset fields are left out, so that a field added later leaves the keys of finished trials as they are.
        content = {name: values[name] for name in names if values[name] is not None} | {"recipe": RECIPE}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def type_of(item: dataclasses.Field[Any]) -> str:
    """The field's annotation as text, such as "int" or "float | None"."""
    return item.type if isinstance(item.type, str) else getattr(item.type, "__name__", str(item.type))


def checked(item: dataclasses.Field[Any], value: Any) -> Any:
    """`value` in the field's own type (an int where a float is meant becomes one), or a `ConfigError`."""
    if value is None and item.default is None:
        return None
    if item.name == "hidden_widths":
        return _checked_widths(value)
    if item.default is None and value in ("none", "None") and value not in item.metadata.get("allowed", ()):
        raise ConfigError(f"`{item.name}` is {value!r}; write null to leave it unset", item.name)
    if "registry" in item.metadata:
        registry = item.metadata["registry"]
        name = registry.name_of(value)
        registry[name]  # raises where there is none
        return name
    if "text" in item.metadata:
        most = item.metadata["text"]
        if not isinstance(value, str) or not value or len(value) > most or not value.isprintable():
            rule = f"it must be a text of 1 to {most} printable letters"
            raise ConfigError(f"`{item.name}` is {value!r}; {rule}", item.name)
        return value
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
    whole = type_of(item).startswith("int")
    kind = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = ""
        if isinstance(value, str):
            hint = "; write it without quotes" if _looks_like_number(value) else ""
        unset = " or null" if item.default is None else ""
        raise ConfigError(f"`{item.name}` is {value!r}; it must be {kind}{unset}{hint}", item.name)
    if whole and (isinstance(value, float) and not value.is_integer()):
        raise ConfigError(f"`{item.name}` is {value!r}; it must be {kind}", item.name)
    try:
        # -0.0 equals 0.0 but is written otherwise, which would make two keys of one trial.
        number = int(value) if whole else float(value) + 0.0
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
    fits = (whole or math.isfinite(number)) and (low is None or number >= low) and (above is None or number > above)
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
