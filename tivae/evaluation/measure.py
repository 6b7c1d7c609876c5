"""The registry type `Measure`: a function of a trained encoder and its probe, with the metrics it computes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tivae.evaluation.subject import Subject
from tivae.metric import Metric

Compute = Callable[[Subject], Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Measure:
    """A measure of each trial; `measure` makes it.

    metrics: what it gives. standard: whether `--measures standard` has it, or `all` alone. needs_stn: whether only
    trials with an STN have it.
    """

    compute: Compute
    metrics: tuple[Metric, ...]
    standard: bool
    needs_stn: bool

    def __call__(self, subject: Subject) -> dict[str, Any]:
        """The value of each of `metrics`. Raises `ValueError` if others are computed than are declared."""
        found = dict(self.compute(subject))
        declared = {metric.name for metric in self.metrics}
        if found.keys() != declared:
            rule = f"it must give the metrics that it declares: {', '.join(sorted(declared))}"
            raise ValueError(f"the measure {self.compute.__qualname__} gives {', '.join(sorted(found))}; {rule}")
        return found


def measure(*metrics: Metric, standard: bool = True, needs_stn: bool = False) -> Callable[[Compute], Measure]:
    """Makes a measure of a function that computes `metrics`."""

    def made(compute: Compute) -> Measure:
        entry = Measure(compute, metrics, standard, needs_stn)
        for name in functools.WRAPPER_ASSIGNMENTS:
            if hasattr(compute, name):
                object.__setattr__(entry, name, getattr(compute, name))
        return entry

    return made
