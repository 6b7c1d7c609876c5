"""One factor of a search space: the field it varies, its domain and its condition."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.space.domains import LISTED, MAX_TRIALS, SEARCHED, Choices, Interval, interval, spelled_out
from study.space.yaml_reader import Node, SpaceError
from tivae.config import ConfigError, check_field_name, known_fields
from tivae.fields import checked, type_of

# Keys of a file that may be looked for among its fields.
BESIDE_SETTINGS = ("seeds", "trials", "objectives", "sampler", "pruner", "most_numbers", "start", "blocks", "question")


@dataclass(frozen=True, slots=True)
class Factor:
    """A field and its domain, wherever every field of `where` has one of its values."""

    name: str
    domain: Choices | Interval
    where: Mapping[str, Mapping[Any, Node]]
    place: str

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The values that are listed, none of an interval."""
        return self.domain.nodes if isinstance(self.domain, Choices) else ()

    def applies(self, chosen: Mapping[str, Any]) -> bool:
        """Whether the condition holds among the chosen values; one on a field not chosen does not."""
        return all(name in chosen and chosen[name] in wanted for name, wanted in self.where.items())


def factor(name: str, node: Node, *, searched: bool = False) -> Factor:
    """The factor written as a list of values, or as a mapping of `values`, ranges and `where`.

    `values`, `range`, `linspace` and `logspace` join in the order of the file. Where the factor is `searched`, it has
    either `values` or one of the ranges `range`, `log_range`, `uniform` and `log_uniform`.

    Raises `SpaceError` for an unknown field, no values, a range from high to low and any other shape; if the
    factor is searched, for a value that the field refuses as well.
    """
    check_field(name, node.place)
    if searched and name == "seed":
        raise SpaceError("`seed` is searched over, which would choose a lucky seed; make it a setting", node.place)
    if not isinstance(node.value, dict):
        return Factor(name, Choices(listed(name, node, searched=searched)), {}, node.place)
    ranges = SEARCHED if searched else LISTED
    check_keys(node, ("values", *ranges, "where"), f"the factor `{name}`")
    given = {key: part for key, part in node.value.items() if key != "where"}
    if searched and len(given) > 1:
        rule = f"it must have one of values, {', '.join(ranges)}"
        raise SpaceError(f"the factor `{name}` has {' and '.join(given)}; {rule}", node.place)
    if not given:
        raise _no_values(name, node)
    where = conditions(name, node.value["where"]) if "where" in node.value else {}
    if searched and "values" not in given:
        return Factor(name, _interval(name, *next(iter(given.items()))), where, node.place)
    nodes: list[Node] = []
    for word, part in given.items():
        if word == "values":
            nodes += listed(name, part, searched=searched)
        else:
            # Rounded where the field is a whole number, so that sizes can be spaced evenly too.
            numbers = (round(n) if is_whole(name) else n for n in spelled_out(name, word, part))
            nodes += (Node(number, part.place) for number in numbers)
    return Factor(name, Choices(tuple(nodes)), where, node.place)


def setting(name: str, node: Node) -> Node:
    """The one value of a field, shared by all trials.

    Raises `SpaceError` for an unknown field, and for a list or a mapping in place of a value.
    """
    check_field(name, node.place)
    if not is_one_value(name, node):
        rule = "which is no single value; move it to `factors` to vary it"
        raise SpaceError(f"the setting `{name}` is {node.plain}, {rule}", node.place)
    return _hashable(name, node)


def seeds(node: Node) -> Factor:
    """The factor `seed`, from a count (3 is 0, 1, 2) or a list. Raises `SpaceError` for anything else."""
    count = node.value
    if isinstance(count, list) and count:
        return factor("seed", node)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        rule = "it must be a count of at least 1, or a list of seeds such as [0, 7]"
        raise SpaceError(f"`seeds` is {node.plain!r}; {rule}", node.place)
    if count > MAX_TRIALS:
        raise SpaceError(f"`seeds` asks for {count:,} values; at most {MAX_TRIALS:,} are possible", node.place)
    return Factor("seed", Choices(tuple(Node(seed, node.place) for seed in range(count))), {}, node.place)


def check_field(name: str, place: str) -> None:
    """Raises `SpaceError` with the nearest known name, or the right place, if `name` is no field of a trial."""
    if name in BESIDE_SETTINGS:
        option = f", and --{name} on the command line" if name in ("seeds", "trials") else ""
        raise SpaceError(f"`{name}` is not a field of a trial; it stands beside `settings` in the file{option}", place)
    try:
        check_field_name(name)
    except ConfigError as error:
        raise SpaceError(str(error), place) from None


def entries(node: Node, key: str) -> dict[str, Node]:
    """The parts of the mapping at `key`, {} where there is none. Raises `SpaceError` for anything else."""
    if key not in node.value:
        return {}
    part = node.value[key]
    if not isinstance(part.value, dict):
        raise SpaceError(f"`{key}` is {part.plain!r}; it must hold lines of `name: value`, or be left out", part.place)
    return dict(part.value)


def check_keys(node: Node, known: tuple[str, ...], what: str) -> None:
    """Raises `SpaceError` if the mapping holds another key than the known ones."""
    for key, part in node.value.items():
        if key in known:
            continue
        hint = f"it may hold {', '.join(known)}"
        if near := difflib.get_close_matches(key, known, n=1):
            hint = f"did you mean `{near[0]}`?"
        elif key in known_fields() and "settings" in known:
            hint = "put it under `settings`, or under `factors` to vary it"
        raise SpaceError(f"`{key}` is unknown in {what}; {hint}", part.place)


def listed(name: str, node: Node, *, searched: bool = False) -> tuple[Node, ...]:
    """The values of a list. Raises `SpaceError` for anything else, and for an empty list."""
    if not isinstance(node.value, list) or not node.value:
        raise _no_values(name, node)
    if is_one_value(name, node):
        rule = "it must be a list of lists, such as [[32, 64], [32, 64, 128]]"
        raise SpaceError(f"the factor `{name}` is {node.plain}; {rule}", node.place)
    nodes = tuple(_hashable(name, item) for item in node.value)
    for item in nodes if searched else ():
        _check(name, item.value, item.place)
    return nodes


def conditions(name: str, node: Node) -> dict[str, dict[Any, Node]]:
    """The fields that `where` names, and the values each must have one of. Raises `SpaceError` for another shape."""
    if not isinstance(node.value, dict) or not node.value:
        message = f"`where` of the factor `{name}` is {node.plain!r}; write for example {{model: vae}}"
        raise SpaceError(message, node.place)
    found = {}
    for other, part in node.value.items():
        check_field(other, part.place)
        wanted = (_hashable(other, part),) if is_one_value(other, part) else listed(other, part)
        found[other] = {item.value: item for item in wanted}
    return found


def is_one_value(name: str, node: Node) -> bool:
    """Whether this is a value of the field itself: one list where the field's values are lists, no list elsewhere."""
    if not isinstance(node.value, list):
        return not isinstance(node.value, dict)
    takes_lists = isinstance(known_fields()[name].default, tuple)
    return takes_lists and not (node.value and all(isinstance(item.value, list) for item in node.value))


def is_whole(name: str) -> bool:
    """Whether the field holds whole numbers."""
    return type_of(known_fields()[name]).startswith("int")


def _interval(name: str, word: str, node: Node) -> Interval:
    found = interval(name, word, node, whole=is_whole(name))
    for end in (found.low, found.high):
        _check(name, end, node.place)
    return found


def _no_values(name: str, node: Node) -> SpaceError:
    if node.value is None or isinstance(node.value, list | dict):
        message = f"the factor `{name}` has no values; list them, such as [1, 2], or remove it"
    else:
        remedy = f"write [{node.value}] or move it to `settings`"
        message = f"the factor `{name}` is {node.value}, which is no list; {remedy}"
    return SpaceError(message, node.place)


def _hashable(name: str, node: Node) -> Node:
    """The value with lists as tuples."""

    def of(part: Node) -> Any:
        if isinstance(part.value, dict):
            raise SpaceError(f"`{name}` holds a mapping, {part.plain}; give a plain value", part.place)
        return tuple(map(of, part.value)) if isinstance(part.value, list) else part.value

    return Node(of(node), node.place)


def _check(name: str, value: Any, place: str) -> None:
    try:
        checked(known_fields()[name], value)
    except ConfigError as error:
        raise SpaceError(str(error), place) from None
