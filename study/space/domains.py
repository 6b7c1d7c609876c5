"""Domains of factors: a choice of several values, or an interval of numbers; and the notation of ranges."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.space.yaml_reader import Node, SpaceError

if TYPE_CHECKING:
    import optuna

MAX_TRIALS = 100_000


@dataclass(frozen=True, slots=True)
class Choices:
    """One of several values without an order, each with its place; a value that is a list is a tuple here."""

    nodes: tuple[Node, ...]

    @property
    def values(self) -> tuple[Any, ...]:
        """The values without their places, each once."""
        return tuple(dict.fromkeys(node.value for node in self.nodes))

    @property
    def labels(self) -> list[Any]:
        """The values as Optuna stores them, which has no lists."""
        return [str(list(value)) if isinstance(value, tuple) else value for value in self.values]

    def suggest(self, name: str, trial: optuna.trial.BaseTrial) -> Any:
        """The value that Optuna suggests."""
        return self.values[self.labels.index(trial.suggest_categorical(name, self.labels))]

    def draw(self, source: random.Random) -> Any:
        """A value at random."""
        return source.choice(self.values)

    def encoded(self, value: Any) -> Any:
        """The label of a value. Raises `ValueError` if it is none of the choices."""
        return self.labels[self.values.index(value)]

    def distribution(self) -> optuna.distributions.BaseDistribution:
        """Optuna's distribution."""
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

    def suggest(self, name: str, trial: optuna.trial.BaseTrial) -> Any:
        """The value that Optuna suggests."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=self.step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def draw(self, source: random.Random) -> Any:
        """A value at random."""
        if self.whole and not self.log:
            return source.randrange(int(self.low), int(self.high) + 1, self.step)
        ends = (self.low, self.high)
        number = math.exp(source.uniform(*map(math.log, ends))) if self.log else source.uniform(*ends)
        number = min(max(number, self.low), self.high)
        return round(number) if self.whole else number

    def encoded(self, value: Any) -> Any:
        """The value itself. Raises `ValueError` if it lies outside, or between two steps."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise ValueError(value)
        if self.whole and (value != int(value) or (value - self.low) % self.step):
            raise ValueError(value)
        return int(value) if self.whole else float(value)

    def distribution(self) -> optuna.distributions.BaseDistribution:
        """Optuna's distribution."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), step=self.step, log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def __str__(self) -> str:
        step = f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.low:g} to {self.high:g}{step}{', log scale' if self.log else ''}"


# Ranges by the word they are written with: the shapes they may have, and how many numbers these are.
SHAPES = {
    "range": ("[low, high] or [low, high, step]", (2, 3)),
    "linspace": ("[low, high, count]", (3,)),
    "logspace": ("[low, high, count]", (3,)),
    "log_range": ("[low, high]", (2,)),
    "uniform": ("[low, high]", (2,)),
    "log_uniform": ("[low, high]", (2,)),
}
# What a grid spells out, and what a search draws from.
LISTED = ("range", "linspace", "logspace")
SEARCHED = ("range", "log_range", "uniform", "log_uniform")
_WHOLE = ("range", "log_range")
_LOG = ("logspace", "log_range", "log_uniform")


def spelled_out(name: str, word: str, node: Node) -> Iterable[float]:
    """All numbers of a range of `LISTED`, both ends included, those between them rounded to 12 digits.

    range: whole numbers, every `step`. linspace: `count` numbers equally far from one another. logspace: each the
    same multiple of the last; its ends are the numbers themselves, not their exponents.

    >>> list(spelled_out("kl_weight", "logspace", Node([Node(1e-4), Node(1e-2), Node(3)])))
    [0.0001, 0.001, 0.01]

    Raises `SpaceError` for any other shape, for a range from high to low, and for more than 100,000 numbers.
    """
    low, high, last = (*_numbers(name, word, node), 1)[:3]
    count = (high - low) // last + 1 if word == "range" else last
    if count > MAX_TRIALS:
        raise SpaceError(f"`{name}` asks for {count:,} values; at most {MAX_TRIALS:,} are possible", node.place)
    if word == "range":
        return range(low, high + 1, last)
    steps = count - 1
    if word == "linspace":
        inner = [low * (1 - i / steps) + high * (i / steps) for i in range(1, steps)]
    else:
        first, width = math.log(low), math.log(high) - math.log(low)
        inner = [math.exp(first + width * i / steps) for i in range(1, steps)]
    # Rounded, so that a value computed as 0.0010000000000000002 is the trial of 0.001.
    return [low, *(float(f"{number:.12g}") for number in inner), high]


def interval(name: str, word: str, node: Node, *, whole: bool) -> Interval:
    """A range of `SEARCHED` of a field, which is `whole` or not. Raises `SpaceError` as `spelled_out` does."""
    low, high, step = (*_numbers(name, word, node), 1)[:3]
    if whole and word not in _WHOLE:
        remedy = "range" if word == "uniform" else "log_range"
        raise SpaceError(f"`{word}` of `{name}`, a whole number; write `{remedy}`", node.place)
    if word in _WHOLE:
        # Optuna wants the upper end to be one of the values.
        return Interval(low, low + (high - low) // step * step, whole=True, step=step, log=word in _LOG)
    return Interval(float(low), float(high), whole=False, log=word in _LOG)


def _numbers(name: str, word: str, node: Node) -> list[Any]:
    """The numbers of a range as they are written: low, high and, where it has one, step or count."""
    shape, lengths = SHAPES[word]
    numbers: list[Any] = node.plain

    def refused(rule: str) -> SpaceError:
        return SpaceError(f"`{word}` of `{name}` {rule}", node.place)

    good = isinstance(numbers, list) and len(numbers) in lengths
    if not good or any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise refused(f"is {numbers!r}; it must be {shape}, all numbers")
    if not all(isinstance(n, int) or math.isfinite(n) for n in numbers):
        raise refused(f"is {numbers}; its numbers must be finite")
    if word in _WHOLE and not all(isinstance(n, int) for n in numbers):
        raise refused(f"is {numbers}; all its numbers must be whole")
    low, high, *last = numbers
    if low > high:
        raise refused(f"runs from {low} down to {high}; give the lower end first")
    if word in _LOG and low <= 0:
        raise refused(
            f"begins at {low}; it must begin above 0: its ends are the numbers themselves, such as [1e-4, 1e-1, 4]"
            f"{' (add 0 itself with `values: [0]`)' * ('space' in word)}"
        )
    if last and word == "range" and last[0] < 1:
        raise refused(f"has step {last[0]}; it must be at least 1")
    if last and word != "range" and (not isinstance(last[0], int) or last[0] < 2):
        raise refused(f"has count {last[0]}; it must be a whole number of at least 2")
    return numbers
