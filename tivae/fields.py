"""Fields of a config: declaration and validation."""

from __future__ import annotations

import dataclasses
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


def type_of(item: dataclasses.Field[Any]) -> str:
    """The field's annotation as text, such as "int" or "float | None"."""
    return item.type if isinstance(item.type, str) else getattr(item.type, "__name__", str(item.type))


def checked(item: dataclasses.Field[Any], value: Any) -> Any:
    """`value` in the field's own type (an int where a float is meant becomes one), or a `ConfigError`."""
    if value is None and item.default is None:
        return None
    if item.name == "hidden_widths":
        return _checked_widths(value)
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
            hint = " (YAML reads 1e-3 as text; write 1.0e-3 or 0.001)" if _looks_like_number(value) else ""
        raise ConfigError(f"`{item.name}` is {value!r}; it must be {kind}{hint}", item.name)
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
