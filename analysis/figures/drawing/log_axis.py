"""A logarithmic x axis on which 0 stands apart, beyond a break."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator


def log_axis(ax: Axes, values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Makes the x axis logarithmic; returns the function that places values on it."""
    ax.set_xscale("log")
    positive = values[values > 0]
    smallest = positive.min()
    # Not matplotlib's symlog: its linear part would put 0 at a distance that looks like a value.
    zero = smallest / max(4.0, (positive.max() / smallest) ** 0.12)
    has_zero = bool((values == 0).any())
    ticks = _ticks(positive)
    if has_zero:
        ticks = [zero, *ticks]
        middle = np.sqrt(zero * smallest)
        mark: dict[str, Any] = {
            "marker": [(-1, -2), (1, 2)],
            "markersize": 7,
            "linestyle": "none",
            "color": "black",
            "clip_on": False,
        }
        ax.plot([middle / 1.06, middle * 1.06], [0, 0], transform=ax.get_xaxis_transform(), **mark)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    label = _tick_format(ticks[has_zero:])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: "0" if has_zero and value == zero else label(value)))
    lowest = zero if has_zero else smallest
    margin = (positive.max() / lowest) ** 0.05
    ax.set_xlim(lowest / margin, positive.max() * margin)
    return lambda x: np.where(x == 0, zero, x)


def _tick_format(ticks: Sequence[float]) -> Callable[[float], str]:
    """One format for all: powers of ten where one of them would be a long decimal."""
    powers = np.log10(ticks)
    if min(powers) < -2 and np.allclose(powers, powers.round()):
        return lambda value: f"$10^{{{round(np.log10(value))}}}$"
    return lambda value: f"{value:g}"


def _ticks(positive: np.ndarray) -> list[float]:
    """The values themselves where they are few, else powers of ten."""
    if len(positive) <= 7:
        return [float(value) for value in positive]
    powers = range(int(np.floor(np.log10(positive.min()))), int(np.ceil(np.log10(positive.max()))) + 1)
    return [10.0**power for power in powers if positive.min() <= 10.0**power <= positive.max()]
