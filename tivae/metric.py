"""The declaration of a metric: name, meaning, unit and range."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A number of each trial. low, high: the values that it can take, None if there is no bound."""

    name: str
    meaning: str
    unit: str = ""
    low: float | None = None
    high: float | None = None


def share(name: str, meaning: str) -> Metric:
    """A metric in [0, 1]."""
    return Metric(name, meaning, "share", 0, 1)
