"""What a study says of the paper's claims: effect, interval, adjusted p and verdict of each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis import formats
from analysis.frames.columns import METRIC_NAMES
from analysis.frames.recipe import Recipe, recipe_of, seedless_configs
from analysis.frames.study import Study
from analysis.inference import contrast as image_contrast
from analysis.inference import holm, seed_interval
from analysis.inference.claims import Cell, Claim, Contrast, paper_value, read_claims
from analysis.inference.intervals import Interval, all_equal

Verdict = Literal["supported", "refuted", "undecided", "not tested"]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """One claim's verdict.

    effect, low, high: the contrast that decides (of several the one worst for the claim, which `contrast` names) with
    its 95 % interval; points for accuracies. p_value: of the verdict's direction, doubled. adjusted_p_value: Holm's.
    n and over: how many "seeds" or "test images" it rests on. paper_effect: the same on the paper's own figures.
    """

    claim: str
    statement: str
    verdict: Verdict
    effect: float
    low: float
    high: float
    p_value: float
    adjusted_p_value: float
    n: int
    over: str
    contrast: str
    paper_effect: float
    sentence: str


def judge(study: Study, claims: Sequence[Claim] | None = None, level: float | None = None) -> list[Judgement]:
    """A judgement of each claim, those of claims.yaml by default.

    With two or more seeds in all of a claim's cells a claim is tested over seeds (t tests of one contrast per seed,
    paired); with one seed over the test images, where their predictions are there, and the sentence says so.
    A claim whose cells have not all finished is not tested.
    """
    default_claims, default_level = read_claims()
    claims = default_claims if claims is None else claims
    level = default_level if level is None else level
    trials = _Trials(study)
    tests = [_test(claim, trials) for claim in claims]
    adjusted = holm([test.p_value for test in tests])
    pairs = zip(claims, tests, adjusted, strict=True)
    return [_judgement(claim, test, float(p_value), level) for claim, test, p_value in pairs]


def verdicts_frame(study: Study, claims: Sequence[Claim] | None = None) -> pd.DataFrame:
    """The judgements as a frame, a row per claim."""
    names = [field.name for field in dataclasses.fields(Judgement)]
    return pd.DataFrame([dataclasses.asdict(judgement) for judgement in judge(study, claims)], columns=names)


@dataclass(frozen=True)
class _Test:
    """`favour`: whether the evidence points to the claim (True) or against it. p_value: NaN where there is no test."""

    decisive: Contrast
    effect: float
    interval: Interval
    p_value: float
    favour: bool
    n: int
    recipe: Recipe
    missing: str = ""


class _Trials:
    """A study's trials, looked up by recipe and cell: claims share both."""

    def __init__(self, study: Study):
        self.study = study
        # Of the 200 columns few are read here, and every row taken copies all.
        needed = {"key", "status", "seed", *METRIC_NAMES} & set(study.trials.columns)
        self.frame = study.trials[[name for name in study.trials.columns if name in needed]]
        self.configs = seedless_configs(study.trials)
        self._recipes: dict[tuple[str, ...], Recipe] = {}
        self._cells: dict[tuple[tuple[str, ...], Cell], pd.DataFrame] = {}

    def recipe(self, varies: tuple[str, ...]) -> Recipe:
        if varies not in self._recipes:
            self._recipes[varies] = recipe_of(self.study.trials, varies, self.configs)
        return self._recipes[varies]

    def of(self, cell: Cell, varies: tuple[str, ...]) -> pd.DataFrame:
        """The finished trials of a cell, by seed."""
        if (varies, cell) not in self._cells:
            found = self.recipe(varies).trials_of(self.frame, dict(cell), self.configs)
            self._cells[varies, cell] = found.set_index(found["seed"].astype(int))
        return self._cells[varies, cell]


def _test(claim: Claim, trials: _Trials) -> _Test:
    recipe = trials.recipe(claim.varies)
    contrasts = claim.contrasts()
    cells = dict.fromkeys(cell for contrast in contrasts for cell, _ in contrast.terms)
    rows = {cell: trials.of(cell, claim.varies) for cell in cells}
    nothing = _Test(contrasts[0], math.nan, Interval(math.nan, math.nan, 0.95, "", ""), math.nan, False, 0, recipe)
    empty = [cell for cell, found in rows.items() if found.empty]
    if empty:
        return dataclasses.replace(nothing, missing=f"{len(empty)} of {len(cells)} cells have no finished trial")
    seeds = sorted(set.intersection(*(set(found.index) for found in rows.values())))
    if not seeds:
        return dataclasses.replace(nothing, missing="no seed has finished in all of its cells")
    by_seed = {cell: found.loc[seeds] for cell, found in rows.items()}
    if len(seeds) > 1:
        values, over = [_per_seed(contrast, by_seed) for contrast in contrasts], "seeds"
    else:
        values, over = [_per_image(contrast, by_seed, trials.study) for contrast in contrasts], "test images"
    return _decide(claim, contrasts, values, over, recipe)


def _per_seed(contrast: Contrast, trials: Mapping[Cell, pd.DataFrame]) -> Values:
    parts = [
        weight * trials[cell][metric].to_numpy(dtype=np.float64, na_value=np.nan)
        for (cell, metric), weight in contrast.terms.items()
    ]
    return np.asarray(np.sum(parts, axis=0), dtype=np.float64)


def _per_image(contrast: Contrast, trials: Mapping[Cell, pd.DataFrame], study: Study) -> Values:
    """The contrast of each test image; of the figures themselves, a single value, where predictions are not there."""
    try:
        parts = []
        for (cell, metric), weight in contrast.terms.items():
            predictions = study.trial(str(trials[cell]["key"].iloc[0])).predictions()
            if metric not in ("base_accuracy", "augmented_accuracy"):
                raise ValueError(f"{metric} is not known image by image")
            classes = predictions[metric.removesuffix("_accuracy")]
            parts.append(weight * (classes == predictions["label"]).to_numpy(dtype=np.float64))
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)
    except ValueError:
        return _per_seed(contrast, trials)


def _decide(claim: Claim, contrasts: list[Contrast], values: list[Values], over: str, recipe: Recipe) -> _Test:
    """All contrasts must hold, so the weakest speaks for the claim; any may refute it, corrected for their number."""
    sides = [_sides(claim.holds, sample) for sample in values]
    against = min(1.0, len(sides) * min(side[1] for side in sides))
    for_it = max(side[0] for side in sides)
    worst = int(np.argmin([_margin(claim.holds, float(sample.mean())) for sample in values]))
    sample = values[worst]
    interval = seed_interval(sample, method="t") if over == "seeds" else image_contrast(sample).interval
    return _Test(
        decisive=contrasts[worst],
        effect=float(sample.mean()),
        interval=dataclasses.replace(interval, over=over),
        p_value=min(1.0, 2 * min(for_it, against)) if len(sample) > 1 else math.nan,
        favour=for_it <= against,
        n=len(sample),
        recipe=recipe,
    )


def _sides(holds: Mapping[str, float], sample: Values) -> tuple[float, float]:
    """One-sided p-values: small where the sample shows that the claim holds; that it does not."""
    if "above" in holds:
        return _one_sided(sample, holds["above"], "greater"), _one_sided(sample, holds["above"], "less")
    if "below" in holds:
        return _one_sided(sample, holds["below"], "less"), _one_sided(sample, holds["below"], "greater")
    low, high = (holds.get("around", 0.0) + sign * holds["within"] for sign in (-1, 1))
    inside = max(_one_sided(sample, low, "greater"), _one_sided(sample, high, "less"))
    outside = 2 * min(_one_sided(sample, low, "less"), _one_sided(sample, high, "greater"))
    return inside, min(1.0, outside)


def _one_sided(sample: Values, value: float, alternative: str) -> float:
    if len(sample) < 2:
        return math.nan
    if all_equal(sample):
        right = sample.mean() > value if alternative == "greater" else sample.mean() < value
        return 0.0 if right else 1.0
    return float(stats.ttest_1samp(sample, value, alternative=alternative).pvalue)


def _margin(holds: Mapping[str, float], effect: float) -> float:
    """By how much the claim holds; negative where it does not."""
    if "above" in holds:
        return effect - holds["above"]
    if "below" in holds:
        return holds["below"] - effect
    return holds["within"] - abs(effect - holds.get("around", 0.0))


def _judgement(claim: Claim, test: _Test, adjusted: float, level: float) -> Judgement:
    verdict: Verdict = "undecided"
    if test.missing:
        verdict = "not tested"
    elif adjusted < level:
        verdict = "supported" if test.favour else "refuted"
    paper = paper_value(test.decisive)
    return Judgement(
        claim=claim.name,
        statement=claim.statement,
        verdict=verdict,
        effect=test.effect,
        low=test.interval.low,
        high=test.interval.high,
        p_value=test.p_value,
        adjusted_p_value=adjusted,
        n=test.n,
        over=test.interval.over,
        contrast=test.decisive.name,
        paper_effect=paper,
        sentence=_sentence(claim, test, verdict, adjusted, paper),
    )


def _sentence(claim: Claim, test: _Test, verdict: Verdict, adjusted: float, paper: float) -> str:
    head = f"{verdict.capitalize()}: {claim.statement}"
    if test.missing:
        return f"{head} {test.missing[0].upper()}{test.missing[1:]}."
    unit = " points" if claim.scale == 100 else ""
    effect = f"The {claim.measure} is {test.effect:+.2f}{unit}"
    if test.decisive.name:
        effect += f" ({test.decisive.name})"
    parts = [head, f"{effect}; claimed: {_claimed(claim.holds)}{unit}."]
    if math.isnan(test.interval.low):
        parts.append("One seed without predictions: there is no interval and no test.")
    else:
        shown = str(formats.p_value(adjusted))
        p_value = f"p {shown}" if shown.startswith("<") else f"p = {shown}"
        parts.append(
            f"95 % interval {test.interval.low:+.2f} to {test.interval.high:+.2f}, adjusted {p_value}, "
            f"over {test.n:,} {test.interval.over}."
        )
        if test.interval.over == "test images":
            parts.append("One seed: it holds for these trained models; another seed may differ.")
    if not math.isnan(paper):
        parts.append(f"The paper's own figures give {paper:+.2f}.")
    if not test.recipe.is_papers:
        parts.append(f"Not the paper's recipe: {test.recipe.differences()}.")
    return " ".join(parts)


def _claimed(holds: Mapping[str, float]) -> str:
    if "within" in holds:
        around = holds.get("around", 0.0)
        return f"{around - holds['within']:g} to {around + holds['within']:g}"
    return ", ".join(f"{word} {value:g}" for word, value in holds.items())
