"""Measurements of a benchmark, with their aim, spread and origin."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """One number; `low` and `high` are the extremes of its repetitions, `value` their median.

    aim: the least it should be, or with `smaller_is_better` the most; None where it is only reported.
    """

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    aim: float | None = None
    smaller_is_better: bool = False
    how: str = ""
    parts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is reached; None without one."""
        if self.aim is None:
            return None
        return self.value <= self.aim if self.smaller_is_better else self.value >= self.aim

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"is_met": self.is_met}

    def as_line(self) -> str:
        """One line of the printed table."""
        spread = "" if self.low is None or self.high is None else f" [{self.low:.3g} to {self.high:.3g}]"
        aim = ""
        if self.aim is not None:
            sign = "at most" if self.smaller_is_better else "at least"
            aim = f"   aim: {sign} {self.aim:g}, {'met' if self.is_met else 'NOT MET'}"
        return f"{self.name:58s} {self.value:9.3g} {self.unit}{spread}{aim}"


def of(name: str, values: Sequence[float], unit: str, **more: Any) -> Measurement:
    """The measurement of repetitions: median and extremes."""
    return Measurement(name, statistics.median(values), unit, min(values), max(values), **more)
