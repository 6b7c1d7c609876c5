"""One factor of a search space: the field it varies, its values, and the condition it holds under."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.space.number_ranges import RANGES, check_count
from study.space.yaml_reader import Node, SpaceError
from tivae.config import ConfigError, TrialConfig, check_field_name

_FIELDS = {item.name: item for item in dataclasses.fields(TrialConfig)}


@dataclass(frozen=True, slots=True)
class Value:
    """A value as `TrialConfig` takes it (lists as tuples, to be looked up), and where it stands."""

    plain: Any
    place: str


@dataclass(frozen=True, slots=True)
class Factor:
    """A field and the values it takes, wherever every field of `where` has one of its values."""

    name: str
    values: tuple[Value, ...]
    where: Mapping[str, Mapping[Any, Value]]
    place: str

    def applies(self, chosen: Mapping[str, Value]) -> bool:
        """Whether the condition holds among the chosen values; one on a field not chosen does not."""
        return all(name in chosen and chosen[name].plain in wanted for name, wanted in self.where.items())


def factor(name: str, node: Node) -> Factor:
    """The factor written as a list of values, or as a mapping of `values`, ranges and `where`.

    The values of `values`, `range`, `linspace` and `logspace` join in the order of the file.

    Raises `SpaceError` for an unknown field, no values, a range from high to low and any other shape.
    """
    check_field(name, node.place)
    if isinstance(node.value, list):
        return Factor(name, listed(name, node), {}, node.place)
    if not isinstance(node.value, dict):
        raise _no_values(name, node)
    check_keys(node, ("values", "range", "linspace", "logspace", "where"), f"the factor `{name}`")
    values: list[Value] = []
    where: Mapping[str, Mapping[Any, Value]] = {}
    for key, part in node.value.items():
        if key == "where":
            where = conditions(name, part)
        elif key == "values":
            values += listed(name, part)
        else:
            values += (Value(_fitting(name, number), part.place) for number in RANGES[key](name, part))
    if not values:
        raise _no_values(name, node)
    return Factor(name, tuple(values), where, node.place)


def setting(name: str, node: Node) -> Value:
    """The one value of a field, shared by all trials.

    Raises `SpaceError` for an unknown field, and for a list or a mapping in place of a value.
    """
    check_field(name, node.place)
    if isinstance(node.value, dict) or not is_one_value(name, node):
        rule = "which is no single value; move it to `factors` to vary it"
        raise SpaceError(f"the setting `{name}` is {node.plain}, {rule}", node.place)
    return _value(name, node)


def seeds(node: Node) -> Factor:
    """The factor `seed`, from a count (3 is 0, 1, 2) or a list. Raises `SpaceError` for anything else."""
    count = node.value
    if isinstance(count, list) and count:
        return Factor("seed", listed("seed", node), {}, node.place)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        rule = "it must be a count of at least 1, or a list of seeds such as [0, 7]"
        raise SpaceError(f"`seeds` is {node.plain!r}; {rule}", node.place)
    check_count("seeds", count, node)
    return Factor("seed", tuple(Value(seed, node.place) for seed in range(count)), {}, node.place)


def override(name: str, node: Node) -> Value | Factor:
    """What `--set name=...` puts in place: one value, or a factor where it is a list or ranges.

    Raises `SpaceError` as `factor` does, and for a condition.
    """
    check_field(name, node.place)
    if isinstance(node.value, dict) and "where" in node.value:
        raise SpaceError(f"`{name}` is set with `where`; a condition must stand in the file", node.place)
    if isinstance(node.value, dict) or not is_one_value(name, node):
        return factor(name, node)
    return _value(name, node)


def check_field(name: str, place: str) -> None:
    """Raises `SpaceError` with the nearest known name where `name` is no field of a trial."""
    try:
        check_field_name(name)
    except ConfigError as error:
        raise SpaceError(str(error), place) from None


def entries(node: Node, key: str, rule: str = "it must hold lines of `name: value`") -> dict[str, Node]:
    """The parts of the mapping at `key`, {} where there is none. Raises `SpaceError` for anything else."""
    if key not in node.value:
        return {}
    part = node.value[key]
    if not isinstance(part.value, dict):
        raise SpaceError(f"`{key}` is {part.plain!r}; {rule}", part.place)
    found: dict[str, Node] = part.value
    return found


def check_keys(node: Node, known: tuple[str, ...], what: str) -> None:
    """Raises `SpaceError` where the mapping holds another key than the known ones."""
    for key, part in node.value.items():
        if key in known:
            continue
        hint = f"it may hold {', '.join(known)}"
        if near := difflib.get_close_matches(key, known, n=1):
            hint = f"did you mean `{near[0]}`?"
        elif key in _FIELDS and "settings" in known:
            hint = "put it under `settings`, or under `factors` to vary it"
        raise SpaceError(f"`{key}` is unknown in {what}; {hint}", part.place)


def listed(name: str, node: Node) -> tuple[Value, ...]:
    """The values of a list. Raises `SpaceError` for anything else, and for an empty list."""
    if not isinstance(node.value, list) or not node.value:
        raise _no_values(name, node)
    if is_one_value(name, node):
        rule = "it must be a list of lists, such as [[32, 64], [32, 64, 128]]"
        raise SpaceError(f"the factor `{name}` is {node.plain}; {rule}", node.place)
    return tuple(_value(name, item) for item in node.value)


def conditions(name: str, node: Node) -> dict[str, dict[Any, Value]]:
    """The fields that `where` names, and the values each must have one of. Raises `SpaceError` for another shape."""
    if not isinstance(node.value, dict) or not node.value:
        message = f"`where` of the factor `{name}` is {node.plain!r}; write for example {{model: vae}}"
        raise SpaceError(message, node.place)
    found = {}
    for other, part in node.value.items():
        check_field(other, part.place)
        wanted = (_value(other, part),) if is_one_value(other, part) else listed(other, part)
        found[other] = {value.plain: value for value in wanted}
    return found


def _no_values(name: str, node: Node) -> SpaceError:
    if node.value is None or isinstance(node.value, list | dict):
        message = f"the factor `{name}` has no values; list them, such as [1, 2], or remove it"
    else:
        remedy = f"write [{node.value}] or move it to `settings`"
        message = f"the factor `{name}` is {node.value}, which is no list; {remedy}"
    return SpaceError(message, node.place)


def is_one_value(name: str, node: Node) -> bool:
    """Whether this is a value of the field itself: no list, or one list where the field's values are lists."""
    if not isinstance(node.value, list):
        return True
    takes_lists = isinstance(_FIELDS[name].default, tuple)
    return takes_lists and not (node.value and all(isinstance(item.value, list) for item in node.value))


def _value(name: str, node: Node) -> Value:
    return Value(_hashable(name, node), node.place)


def _hashable(name: str, node: Node) -> Any:
    if isinstance(node.value, dict):
        raise SpaceError(f"`{name}` holds a mapping, {node.plain}; give a plain value", node.place)
    if isinstance(node.value, list):
        return tuple(_hashable(name, item) for item in node.value)
    return node.value


def _fitting(name: str, number: float) -> int | float:
    """Rounded to a whole number where the field is one, so that sizes can be spaced evenly too."""
    return round(number) if str(_FIELDS[name].type).startswith("int") else number
