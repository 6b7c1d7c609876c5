"""Main effects and interactions of a factorial study, with the seed as block."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import ArrayLike, NDArray

from analysis.frames.study import VALUE_ORDER
from analysis.inference.images import contrast
from analysis.inference.intervals import all_equal

Matrix = NDArray[np.floating]

# In place of a missing level.
UNSET = "unset"


@dataclass(frozen=True)
class Factorial:
    """What each factor does, alone and with others.

    effects: a row per effect, with term, contrast, order, effect, low, high, p_value. In points (hundredths) where
        `scale` is 100. Of two levels the effect is the second minus the first, averaged over all other factors; of
        an interaction of such factors it is the difference of differences, "by how much the effect of one changes
        with the other". Of more than two levels there is an effect for each, against the mean of all.
    analysis_of_variance: a row per term, with degrees_of_freedom, f, p_value, partial_eta_squared.
    residual_sd: standard deviation that the model leaves unexplained, in the effects' unit.
    note: what was left out of the model and why; "" where nothing was.
    """

    effects: pd.DataFrame
    analysis_of_variance: pd.DataFrame
    residual_sd: float
    residual_degrees_of_freedom: int
    n: int
    over: str
    note: str


def factorial(
    trials: pd.DataFrame,
    response: str = "augmented_accuracy",
    factors: Sequence[str] = ("train_dataset", "model", "stn"),
    block: str | None = "seed",
    order: int | None = None,
    model: Literal["fixed", "mixed"] = "fixed",
    confidence: float = 0.95,
    scale: float = 100.0,
) -> Factorial:
    """Effects of `factors` on `response` in a linear model on sum-coded factors, up to interactions of `order`.

    block: taken into the model as a fixed effect of its own, or with `model="mixed"` as a random intercept. A factor
    or block with one level is left out; so are the highest interactions where the trials do not suffice for them.
    A factor that some trials leave unset is a level of its own there.

    Raises `ValueError` where no factor varies, or fewer trials are there than main effects need.
    """
    frame = _with_unset(trials.dropna(subset=[response]), factors)
    varying = [name for name in factors if len(frame[name].unique()) > 1]
    if not varying:
        raise ValueError(f"none of {', '.join(factors)} has two values; there is no effect to estimate")
    blocks = _block_columns(frame, block)
    highest = min(order or len(varying), len(varying))
    notes = [f"{name} has one value" for name in factors if name not in varying]
    for tried in range(highest, 0, -1):
        design = _Design(frame, varying, tried)
        matrix = np.hstack([design.matrix, blocks])
        if np.linalg.matrix_rank(matrix) == matrix.shape[1] < len(frame):
            break
        notes.append(f"too few trials for interactions of {tried}" if tried > 1 else "")
    else:
        raise ValueError(
            f"{len(frame)} trials are too few for the main effects of {', '.join(varying)}"
            + (f" with {block} as block" if blocks.shape[1] else "")
        )
    values = frame[response].to_numpy(dtype=np.float64) * scale
    groups = frame[block] if block and blocks.shape[1] else None
    estimate = _fixed(values, matrix)
    if model == "mixed" and groups is not None:
        estimate, note = _mixed(values, design.matrix, groups, otherwise=estimate)
        notes.append(note)
    return Factorial(
        effects=_effects(design, estimate, confidence),
        analysis_of_variance=_analysis_of_variance(design, estimate),
        residual_sd=math.sqrt(estimate.variance),
        residual_degrees_of_freedom=estimate.degrees_of_freedom,
        n=len(frame),
        over="seeds",
        note="; ".join(filter(None, notes)),
    )


def factorial_over_images(
    cells: pd.DataFrame,
    correct: ArrayLike,
    factors: Sequence[str] = ("train_dataset", "model", "stn"),
    confidence: float = 0.95,
    scale: float = 100.0,
) -> Factorial:
    """The same effects with their uncertainty over test images, for studies of one seed.

    cells: a row per trained model, with the factors. correct: (cells, images), whether each model classifies each
    image rightly; a factor that some leave unset is a level of its own there. Says what holds for these trained models
    on other images, not for other seeds.

    Raises `ValueError` where the cells do not fill the factorial.
    """
    scores = np.asarray(correct, dtype=np.float64) * scale
    cells = _with_unset(cells, factors)
    varying = [name for name in factors if len(cells[name].unique()) > 1]
    design = _Design(cells, varying, len(varying))
    if not varying or scores.shape[0] != len(cells) or np.linalg.matrix_rank(design.matrix) < design.matrix.shape[1]:
        raise ValueError(f"{len(cells)} cells do not fill the factorial of {', '.join(factors)}")
    coefficients = np.linalg.lstsq(design.matrix, scores, rcond=None)[0]
    rows = []
    for effect in design.effects:
        result = contrast(effect.weights @ coefficients, confidence)
        rows.append([*effect.names, result.mean, result.interval.low, result.interval.high, result.p_value])
    return Factorial(
        effects=pd.DataFrame(rows, columns=EFFECT_COLUMNS),
        analysis_of_variance=pd.DataFrame(columns=VARIANCE_COLUMNS),
        residual_sd=math.nan,
        residual_degrees_of_freedom=scores.shape[1] - 1,
        n=len(cells),
        over="test images",
        note="one seed: the intervals are over test images and do not hold what another seed would give",
    )


EFFECT_COLUMNS = ["term", "contrast", "order", "effect", "low", "high", "p_value"]
VARIANCE_COLUMNS = ["term", "degrees_of_freedom", "f", "p_value", "partial_eta_squared"]


@dataclass(frozen=True)
class _Effect:
    """`weights` times the coefficients is the effect."""

    term: str
    contrast: str
    order: int
    weights: Matrix

    @property
    def names(self) -> list[str | int]:
        return [self.term, self.contrast, self.order]


class _Design:
    """Sum-coded columns: the intercept, then those of each term; and the effects as weights on them."""

    def __init__(self, frame: pd.DataFrame, factors: Sequence[str], order: int):
        coded = {name: _sum_coded(frame[name]) for name in factors}
        columns: list[Matrix] = [np.ones((len(frame), 1))]
        self.terms: dict[str, slice] = {}
        self.effects: list[_Effect] = []
        start, drafts = 1, []
        for size in range(1, order + 1):
            for names in itertools.combinations(factors, size):
                block, weights, labels = _product([coded[name] for name in names])
                term = " x ".join(names)
                self.terms[term] = slice(start, start + block.shape[1])
                drafts += [(term, label, size, row) for label, row in zip(labels, weights, strict=True)]
                columns.append(block)
                start += block.shape[1]
        self.matrix = np.hstack(columns)
        for term, label, size, row in drafts:
            full = np.zeros(start)
            full[self.terms[term]] = row
            self.effects.append(_Effect(term, label, size, full))


def _with_unset(trials: pd.DataFrame, factors: Sequence[str]) -> pd.DataFrame:
    """The trials, a factor that one leaves unset being a level of its own there."""
    return trials.assign(**{name: trials[name].astype(object).where(trials[name].notna(), UNSET) for name in factors})


@dataclass(frozen=True)
class _Coded:
    columns: Matrix  # (trials, levels - 1)
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


def _block_columns(frame: pd.DataFrame, block: str | None) -> Matrix:
    if block is None or block not in frame.columns or len(frame[block].unique()) < 2:
        return np.zeros((len(frame), 0))
    levels = sorted(frame[block].unique())
    codes = np.vstack([np.eye(len(levels) - 1), -np.ones(len(levels) - 1)])
    return np.asarray(codes[frame[block].map({level: i for i, level in enumerate(levels)}).to_numpy(dtype=np.int64)])


@dataclass(frozen=True)
class _Estimate:
    """Coefficients of the design's columns (and blocks), and statsmodels' tests of their sums."""

    coefficients: Matrix
    variance: float
    degrees_of_freedom: int
    results: object | None  # None where the model fits exactly and nothing is left to test against

    def padded(self, weights: Matrix, width: int | None = None) -> Matrix:
        weights = np.atleast_2d(weights)
        return np.pad(weights, ((0, 0), (0, (width or len(self.coefficients)) - weights.shape[1])))


def _fixed(values: Matrix, matrix: Matrix) -> _Estimate:
    results = sm.OLS(values, matrix).fit()
    residual = values - matrix @ results.params
    exact = all_equal(np.append(residual, 0.0)) or float(np.abs(residual).max()) <= 1e-12 * np.abs(values).max()
    variance = 0.0 if exact else float(results.scale)
    return _Estimate(results.params, variance, int(results.df_resid), None if exact else results)


def _mixed(values: Matrix, matrix: Matrix, groups: pd.Series, otherwise: _Estimate) -> tuple[_Estimate, str]:
    """A random intercept per group; what statsmodels warns of, a seed variance of zero as a rule, becomes the note."""
    if otherwise.results is None:
        return otherwise, "the figures have no noise; seed as a fixed effect"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            results = sm.MixedLM(values, matrix, groups=groups.to_numpy()).fit(reml=True)
        except np.linalg.LinAlgError:
            return otherwise, "the mixed model cannot be fitted, as where seeds do not differ; seed as a fixed effect"
    lines = dict.fromkeys(str(item.message).strip().splitlines()[0] for item in caught)
    estimate = _Estimate(
        results.fe_params, float(results.scale), len(values) - matrix.shape[1] - groups.nunique() + 1, results
    )
    return estimate, "; ".join(lines)


def _effects(design: _Design, estimate: _Estimate, confidence: float) -> pd.DataFrame:
    rows = []
    for effect in design.effects:
        weights = estimate.padded(effect.weights)
        value = float((weights @ estimate.coefficients)[0])
        if estimate.results is None:
            low, high, p_value = value, value, 1.0 if abs(value) < 1e-9 else 0.0
        else:
            test = estimate.results.t_test(weights)  # type: ignore[attr-defined]
            (low, high), p_value = test.conf_int(alpha=1 - confidence)[0], float(test.pvalue)
        rows.append([*effect.names, value, float(low), float(high), p_value])
    return pd.DataFrame(rows, columns=EFFECT_COLUMNS)


def _analysis_of_variance(design: _Design, estimate: _Estimate) -> pd.DataFrame:
    rows = []
    for term, columns in design.terms.items():
        size = columns.stop - columns.start
        if estimate.results is None:
            rows.append([term, size, math.nan, math.nan, math.nan])
            continue
        # A mixed model counts the seeds' variance among its parameters here, unlike in its t_test.
        parameters = len(estimate.results.params)  # type: ignore[attr-defined]
        weights = estimate.padded(np.eye(design.matrix.shape[1])[columns], parameters)
        test = estimate.results.f_test(weights)  # type: ignore[attr-defined]
        f = float(np.squeeze(test.fvalue))
        share = f * size / (f * size + estimate.degrees_of_freedom)
        rows.append([term, size, f, float(test.pvalue), share])
    return pd.DataFrame(rows, columns=VARIANCE_COLUMNS)
