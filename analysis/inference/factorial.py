"""Main effects and interactions of a balanced factorial study, with the seed as the unit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.frames.study import VALUE_ORDER
from analysis.inference.correctness import Correctness, stacked
from analysis.inference.crossed import estimate

Matrix = NDArray[np.floating]

# In place of a missing level.
UNSET = "unset"
EFFECT_COLUMNS = ["term", "contrast", "order", "effect", "low", "high", "p_value"]


@dataclass(frozen=True)
class Factorial:
    """Main effects and interactions of the factors.

    effects: a row per effect, with term, contrast, order, effect, low, high, p_value. In points (hundredths) where
        `scale` is 100. Of two levels the effect is the second minus the first, averaged over all other factors; of
        an interaction of such factors it is the difference of differences, "by how much the effect of one changes
        with the other". Of more than two levels there is an effect for each, against the mean of all. p_value: NaN with
        one seed, which judges no recipe.
    seeds: their number; over: what the intervals are over, as in `crossed.Estimate`.
    """

    effects: pd.DataFrame
    seeds: int
    over: str


@dataclass(frozen=True)
class Design:
    """A balanced part of a study: each combination of the factors' levels once for each seed.

    left_out: levels without which it is balanced, by factor.
    """

    trials: pd.DataFrame
    factors: tuple[str, ...]
    left_out: dict[str, list[object]]

    @property
    def cells(self) -> int:
        """Combinations of levels."""
        return math.prod(len(self.trials[name].unique()) for name in self.factors)


def balanced(trials: pd.DataFrame, factors: Sequence[str]) -> Design:
    """The largest balanced part that is found by leaving out levels, one after the other, that are crossed least.

    A factor that some trials leave unset is a level of its own there. A factor of one level is none. Seeds that lack
    a cell are left out.

    Raises `ValueError` if no factor keeps two levels, or a cell holds several trials of one seed.
    """
    frame = trials.assign(**{name: trials[name].astype(object).where(trials[name].notna(), UNSET) for name in factors})
    left_out: dict[str, list[object]] = {}
    while True:
        varying = tuple(name for name in factors if len(frame[name].unique()) > 1)
        if not varying:
            raise ValueError("no factor has two values that are crossed with all others")
        worst = _least_crossed(frame, varying)
        if worst is None:
            break
        name, level = worst
        left_out.setdefault(name, []).append(level)
        frame = frame[frame[name] != level]
    if frame.duplicated([*varying, "seed"]).any():
        raise ValueError(f"cells of {', '.join(varying)} hold trials that differ in other fields")
    size = len(frame.drop_duplicates(list(varying)))
    counts = frame.groupby("seed").size()
    whole = frame[frame["seed"].isin(counts.index[counts == size])]
    if whole.empty:
        raise ValueError("no seed has finished in all cells")
    return Design(whole.reset_index(drop=True), varying, left_out)


def factorial(
    design: Design,
    metric: str = "augmented_accuracy",
    order: int | None = None,
    scores: Correctness | None = None,
    confidence: float = 0.95,
    scale: float = 100.0,
) -> Factorial:
    """Effects of the design's factors on `metric`, interactions up to `order`: each a contrast of a seed's cells.

    The seed is the unit, so that what the cells of a seed share, a pretrained STN for one, cancels or counts as it
    should. scores: of each test image; with it the intervals are over seeds and test images.
    """
    frame = design.trials.sort_values("seed", kind="stable")
    combinations = frame.drop_duplicates(list(design.factors)).reset_index(drop=True)
    effects = _coded_effects(combinations, design.factors, min(order or len(design.factors), len(design.factors)))
    values = _by_cell(frame, combinations, design.factors, metric, scores)
    rows = []
    for effect in effects:
        # Rounded, lest what the order of a sum leaves of an effect of 0 be taken for one without an error.
        result = estimate(np.round(scale * np.tensordot(effect.weights, values, axes=(0, 0)), 12))
        interval = result.interval(confidence)
        p_value = result.level(0.0) if result.seeds > 1 else math.nan
        rows.append([effect.term, effect.contrast, effect.order, result.mean, interval.low, interval.high, p_value])
    return Factorial(pd.DataFrame(rows, columns=EFFECT_COLUMNS), result.seeds, result.over)


def _least_crossed(frame: pd.DataFrame, factors: Sequence[str]) -> tuple[str, object] | None:
    """The factor and level that lacks the largest share of its combinations; None if all are there."""
    there = frame.drop_duplicates(list(factors))
    counts = {name: there[name].value_counts() for name in factors}
    full = math.prod(len(found) for found in counts.values())
    if full == len(there):
        return None
    # Among equals the factor with most levels loses one, and of these the last named.
    shares = [
        (count * len(counts[name]) / full, -len(counts[name]), -position, name, level)
        for position, name in enumerate(factors)
        for level, count in counts[name].items()
    ]
    *_, name, level = min(shares, key=lambda item: item[:3])
    return name, level


def _by_cell(
    frame: pd.DataFrame,
    combinations: pd.DataFrame,
    factors: Sequence[str],
    metric: str,
    scores: Correctness | None,
) -> Matrix:
    """(cells, seeds, images), or (cells, seeds) where the images are not known one by one."""
    groups = frame.groupby(list(factors), sort=False)
    rows = [groups.get_group(tuple(cell)) for cell in combinations[list(factors)].itertuples(index=False, name=None)]
    known = None if scores is None else [stacked(list(row["key"]), metric, scores) for row in rows]
    if known is not None and all(part is not None and part.shape == known[0].shape for part in known):  # type: ignore[union-attr]
        return np.stack([part for part in known if part is not None])
    return np.stack([row[metric].to_numpy(dtype=np.float64, na_value=np.nan) for row in rows])


@dataclass(frozen=True)
class _Effect:
    """`weights` times the values of the cells is the effect."""

    term: str
    contrast: str
    order: int
    weights: Matrix


def _coded_effects(cells: pd.DataFrame, factors: Sequence[str], order: int) -> list[_Effect]:
    """The effects, from sum-coded columns of the cells: the intercept, then those of each term."""
    coded = {name: _sum_coded(cells[name]) for name in factors}
    columns: list[Matrix] = [np.ones((len(cells), 1))]
    start, drafts = 1, []
    for size in range(1, order + 1):
        for names in itertools.combinations(factors, size):
            block, weights, labels = _product([coded[name] for name in names])
            place = slice(start, start + block.shape[1])
            drafts += [(" x ".join(names), label, size, place, row) for label, row in zip(labels, weights, strict=True)]
            columns.append(block)
            start += block.shape[1]
    solver = np.linalg.pinv(np.hstack(columns))
    return [_Effect(term, label, size, row @ solver[place]) for term, label, size, place, row in drafts]


@dataclass(frozen=True)
class _Coded:
    columns: Matrix  # (cells, levels - 1)
    weights: Matrix  # (effects, levels - 1)
    labels: list[str]


def _sum_coded(values: pd.Series) -> _Coded:
    order = (UNSET, *VALUE_ORDER.get(str(values.name), ()))
    levels = sorted(
        values.unique(), key=lambda level: (order.index(level), 0) if level in order else (len(order), level)
    )
    position = values.map({level: number for number, level in enumerate(levels)}).to_numpy(dtype=np.int64)
    if len(levels) == 2:
        column = np.where(position == 1, 1.0, -1.0)[:, None]
        return _Coded(column, np.array([[2.0]]), [f"{levels[1]} - {levels[0]}"])
    codes = np.vstack([np.eye(len(levels) - 1), -np.ones(len(levels) - 1)])
    return _Coded(codes[position], codes, [f"{values.name} {level}" for level in levels])


def _product(parts: Sequence[_Coded]) -> tuple[Matrix, Matrix, list[str]]:
    columns, weights, labels = parts[0].columns, parts[0].weights, parts[0].labels
    for part in parts[1:]:
        columns = np.einsum("ni,nj->nij", columns, part.columns).reshape(len(columns), -1)
        weights = np.kron(weights, part.weights)
        labels = [f"{one}, {two}" for one, two in itertools.product(labels, part.labels)]
    return columns, weights, labels
