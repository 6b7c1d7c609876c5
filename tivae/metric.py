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

    def allows(self, value: float) -> bool:
        """Whether `value` is in the range.

        >>> Metric("r_squared", "1 is exact", high=1).allows(-0.1)
        True
        >>> share("accuracy", "images classified correctly").allows(1.2)
        False
        """
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


def share(name: str, meaning: str) -> Metric:
    """A metric in [0, 1]."""
    return Metric(name, meaning, "share", 0, 1)
