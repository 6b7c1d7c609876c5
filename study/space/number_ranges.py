"""Evenly spaced numbers: `range`, `linspace` and `logspace` of a search space."""

from __future__ import annotations

import math
from collections.abc import Sequence

from study.space.yaml_reader import Node, SpaceError

MAX_TRIALS = 100_000


def whole_range(name: str, node: Node) -> Sequence[int]:
    """Whole numbers from [low, high] or [low, high, step], both ends included where the step meets them."""
    numbers = _numbers(name, node, "range", "[low, high] or [low, high, step]", (2, 3))
    low, high, step = (*whole(name, node, "range", numbers), 1)[:3]
    if step < 1:
        raise SpaceError(f"`range` of `{name}` has step {step}; it must be at least 1", node.place)
    check_count(name, (high - low) // step + 1, node)
    return range(low, high + 1, step)


def linear(name: str, node: Node) -> Sequence[float]:
    """`count` numbers from [low, high, count], equally far from one another, both ends included."""
    low, high, steps = _ends(name, node, "linspace")
    inner = (low * (1 - i / steps) + high * (i / steps) for i in range(1, steps))
    return [low, *map(_rounded, inner), high]


def logarithmic(name: str, node: Node) -> Sequence[float]:
    """`count` numbers from [low, high, count], each the same multiple of the last, both ends included.

    The ends are the numbers themselves, not their exponents.
    """
    low, high, steps = _ends(name, node, "logspace")
    if low <= 0:
        rule = "it must begin above 0 (add 0 itself with `values: [0]`)"
        raise SpaceError(f"`logspace` of `{name}` begins at {low}; {rule}", node.place)
    first, last = math.log(low), math.log(high)
    inner = (math.exp(first + (last - first) * i / steps) for i in range(1, steps))
    return [low, *map(_rounded, inner), high]


RANGES = {"range": whole_range, "linspace": linear, "logspace": logarithmic}


def check_count(name: str, count: int, node: Node) -> None:
    """Raises `SpaceError` for more values than a search space may have trials."""
    if count > MAX_TRIALS:
        rule = f"at most {MAX_TRIALS:,} are possible"
        raise SpaceError(f"`{name}` asks for {count:,} values; {rule}", node.place)


def listed(name: str, node: Node, kind: str, shape: str, lengths: tuple[int, ...]) -> list[int | float]:
    """The numbers of a range. Raises `SpaceError` for another shape and for what is no number."""
    numbers = node.plain
    good = isinstance(numbers, list) and len(numbers) in lengths
    if not good or any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        raise SpaceError(f"`{kind}` of `{name}` is {numbers!r}; it must be {shape}, all numbers", node.place)
    return list(numbers)


def whole(name: str, node: Node, kind: str, numbers: Sequence[int | float]) -> list[int]:
    """The same numbers. Raises `SpaceError` where one is not written as a whole number."""
    found = [number for number in numbers if isinstance(number, int)]
    if len(found) < len(numbers):
        raise SpaceError(f"`{kind}` of `{name}` is {node.plain}; all its numbers must be whole", node.place)
    return found


def _ends(name: str, node: Node, kind: str) -> tuple[float, float, int]:
    """Both end points and the number of steps between them."""
    low, high, count = _numbers(name, node, kind, "[low, high, count]", (3,))
    if not isinstance(count, int) or count < 2:
        rule = "it must be a whole number of at least 2"
        raise SpaceError(f"`{kind}` of `{name}` has count {count}; {rule}", node.place)
    check_count(name, count, node)
    return low, high, count - 1


def _numbers(name: str, node: Node, kind: str, shape: str, lengths: tuple[int, ...]) -> list[int | float]:
    numbers = listed(name, node, kind, shape, lengths)
    if not all(math.isfinite(number) for number in numbers):
        raise SpaceError(f"`{kind}` of `{name}` is {numbers}; its numbers must be finite", node.place)
    low, high = numbers[:2]
    if low > high:
        message = f"`{kind}` of `{name}` runs from {low} down to {high}; give the lower end first"
        raise SpaceError(message, node.place)
    return numbers


def _rounded(number: float) -> float:
    """To 12 digits, so that a value computed as 0.0010000000000000002 is the trial of 0.001."""
    return float(f"{number:.12g}")
