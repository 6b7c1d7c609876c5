"""One parameter of a search: the field it sets, the values it may take, and the condition it exists under."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.space import factors, number_ranges
from study.space.factors import Value
from study.space.yaml_reader import Node, SpaceError
from tivae.config import ConfigError, TrialConfig
from tivae.fields import checked

if TYPE_CHECKING:
    import optuna

_FIELDS = {item.name: item for item in dataclasses.fields(TrialConfig)}


@dataclass(frozen=True, slots=True)
class Choices:
    """One of several values, without an order."""

    values: tuple[Any, ...]

    def suggest(self, name: str, trial: optuna.trial.Trial) -> Any:
        """The value that Optuna suggests."""
        return self.decoded(trial.suggest_categorical(name, self.labels))

    def draw(self, source: random.Random) -> Any:
        """A value at random."""
        return source.choice(self.values)

    @property
    def labels(self) -> list[Any]:
        """The values as Optuna stores them, which has no lists."""
        return [str(list(value)) if isinstance(value, tuple) else value for value in self.values]

    def decoded(self, label: Any) -> Any:
        """The value of a label."""
        return self.values[self.labels.index(label)]

    def encoded(self, value: Any) -> Any:
        """The label of a value. Raises `ValueError` where it is none of the choices."""
        return self.labels[self.values.index(value)]

    def distribution(self) -> optuna.distributions.BaseDistribution:
        """What Optuna draws from."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.labels)

    def __str__(self) -> str:
        return " | ".join(map(str, self.labels))


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers from `low` to `high`, both included: whole ones every `step`, or any; evenly drawn, or on a log scale."""

    low: float
    high: float
    whole: bool
    step: int = 1
    log: bool = False

    def suggest(self, name: str, trial: optuna.trial.Trial) -> Any:
        """The value that Optuna suggests."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=self.step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def draw(self, source: random.Random) -> Any:
        """A value at random."""
        if self.whole and not self.log:
            return source.randrange(int(self.low), int(self.high) + 1, self.step)
        drawn = source.uniform(*map(math.log, (self.low, self.high))) if self.log else None
        number = source.uniform(self.low, self.high) if drawn is None else math.exp(drawn)
        number = min(max(number, self.low), self.high)
        return round(number) if self.whole else number

    def encoded(self, value: Any) -> Any:
        """The value itself. Raises `ValueError` where it lies outside, or between two steps."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise ValueError(value)
        if self.whole and (value != int(value) or (value - self.low) % self.step):
            raise ValueError(value)
        return int(value) if self.whole else float(value)

    def distribution(self) -> optuna.distributions.BaseDistribution:
        """What Optuna draws from."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), step=self.step, log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def __str__(self) -> str:
        step = f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.low:g} to {self.high:g}{step}{', log scale' if self.log else ''}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A field of the trials, and what it is searched over wherever every field of `where` has one of its values."""

    name: str
    domain: Choices | Interval
    where: Mapping[str, Mapping[Any, Value]]
    place: str

    def applies(self, chosen: Mapping[str, Any]) -> bool:
        """Whether the condition holds among the chosen values; one on a field not chosen does not."""
        return all(name in chosen and chosen[name] in wanted for name, wanted in self.where.items())


def parameter(name: str, node: Node) -> Parameter:
    """The parameter written as a list of values, or as a mapping of `values` or one range, and `where`.

    Ranges: `range: [low, high]` or `[low, high, step]` and `log_range: [low, high]` are of whole numbers,
    `uniform: [low, high]` and `log_uniform: [low, high]` of any.

    Raises `SpaceError` for an unknown field, a value that the field refuses, a range from high to low and any
    other shape.
    """
    factors.check_field(name, node.place)
    if name == "seed":
        raise SpaceError("`seed` is searched over; a search may not choose its luck, make it a setting", node.place)
    if isinstance(node.value, list):
        return Parameter(name, _choices(name, node), {}, node.place)
    if not isinstance(node.value, dict):
        rule = f"list its values, such as [{node.plain}, ...], or move it to `settings`"
        raise SpaceError(f"the parameter `{name}` is {node.plain!r}, which is nothing to search; {rule}", node.place)
    factors.check_keys(node, ("values", *_RANGES, "where"), f"the parameter `{name}`")
    given = [key for key in node.value if key != "where"]
    if len(given) != 1:
        rule = f"it must have one of values, {', '.join(_RANGES)}"
        raise SpaceError(f"the parameter `{name}` has {' and '.join(given) or 'no values'}; {rule}", node.place)
    part = node.value[given[0]]
    domain = _choices(name, part) if given[0] == "values" else _RANGES[given[0]](name, given[0], part)
    where = factors.conditions(name, node.value["where"]) if "where" in node.value else {}
    return Parameter(name, domain, where, node.place)


def _choices(name: str, node: Node) -> Choices:
    values = factors.listed(name, node)
    for value in values:
        _check(name, value.plain, value.place)
    return Choices(tuple(dict.fromkeys(value.plain for value in values)))


def _whole(name: str, kind: str, node: Node) -> Interval:
    low, high, step = (*number_ranges.whole(name, node, kind, _numbers(name, kind, node, most=3)), 1)[:3]
    if step < 1:
        raise SpaceError(f"`{kind}` of `{name}` has step {step}; it must be at least 1", node.place)
    # Optuna wants the upper end to be one of the values.
    high = low + (high - low) // step * step
    return Interval(low, high, whole=True, step=step)


def _log_whole(name: str, kind: str, node: Node) -> Interval:
    low, high = number_ranges.whole(name, node, kind, _numbers(name, kind, node))
    return Interval(_above_zero(name, kind, low, node), high, whole=True, log=True)


def _real(name: str, kind: str, node: Node) -> Interval:
    low, high = _numbers(name, kind, node)
    return Interval(float(low), float(high), whole=False)


def _log_real(name: str, kind: str, node: Node) -> Interval:
    low, high = _numbers(name, kind, node)
    return Interval(float(_above_zero(name, kind, low, node)), float(high), whole=False, log=True)


_RANGES: dict[str, Callable[[str, str, Node], Interval]] = {
    "range": _whole,
    "log_range": _log_whole,
    "uniform": _real,
    "log_uniform": _log_real,
}


def _numbers(name: str, kind: str, node: Node, most: int = 2) -> list[Any]:
    shape = "[low, high]" if most == 2 else "[low, high] or [low, high, step]"
    numbers = number_ranges.listed(name, node, kind, shape, tuple(range(2, most + 1)))
    low, high = numbers[:2]
    for number in (low, high):
        _check(name, number, node.place)
    if low >= high:
        message = f"`{kind}` of `{name}` runs from {low} to {high}; the lower end must come first, and below the upper"
        raise SpaceError(message, node.place)
    whole_field = str(_FIELDS[name].type).startswith("int")
    if whole_field and kind in ("uniform", "log_uniform"):
        remedy = "range" if kind == "uniform" else "log_range"
        raise SpaceError(f"`{kind}` of `{name}`, a whole number; write `{remedy}`", node.place)
    return numbers


def _above_zero(name: str, kind: str, low: float, node: Node) -> float:
    if low <= 0:
        raise SpaceError(f"`{kind}` of `{name}` begins at {low}; it must begin above 0", node.place)
    return low


def _check(name: str, value: Any, place: str) -> None:
    try:
        checked(_FIELDS[name], value)
    except ConfigError as error:
        raise SpaceError(str(error), place) from None
