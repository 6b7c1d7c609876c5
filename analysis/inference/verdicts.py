"""Verdicts on the paper's claims: effect, interval, adjusted p and verdict of each."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from analysis import formats
from analysis.frames.study import Study
from analysis.inference import interim
from analysis.inference.assessment import Assessment, Trials, assess
from analysis.inference.claims import Claim, paper_value, read_claims
from analysis.inference.correctness import Correctness, correctness_of
from analysis.inference.crossed import Estimate
from analysis.inference.families import holm, holm_divisors
from analysis.inference.intervals import Interval, share_interval

Verdict = Literal["supported", "refuted", "undecided", "not judged", "not tested"]
ONE_SEED = "one seed: not judged"


@dataclass(frozen=True)
class Judgement:
    """One claim's verdict: whether it holds of this recipe. That a claim is refuted here does not say that the paper's
    own numbers were otherwise: `holds_in_paper` does.

    effect, low, high: the contrast that decides (of several the one worst for the claim, which `contrast` names) with
    its interval of `confidence`, adjusted as p is: where the claim is decided it excludes what is claimed, or all else.
    p_value, adjusted_p_value: two-sided; Holm's. claimed: what must hold of the effect, with its margin_reason.
    n, over: its seeds and what the interval is over. agreeing: in how many seeds the claim holds; for a claim
    `above: 0` its share estimates P(A > B) (Bouthillier et al. 2021); with its 95 % Wilson interval agreeing_low,
    agreeing_high.
    basis: "confirmatory" where all seeds were trained after the claim was written down, else "exploratory".
    paper_effect, holds_in_paper: the same on the paper's own numbers; missing on other images than the paper's.
    effect_base_probe, low_base_probe, high_base_probe: the same contrast of a probe that was fitted on base images
    alone, with its 95 % interval over seeds: of a classifier that never saw augmented images. It is not judged.
    """

    claim: str
    statement: str
    verdict: Verdict
    effect: float
    low: float
    high: float
    confidence: float
    p_value: float
    adjusted_p_value: float
    claimed: str
    margin_reason: str
    n: int
    over: str
    agreeing: int
    agreeing_low: float
    agreeing_high: float
    basis: str
    contrast: str
    paper_effect: float
    holds_in_paper: bool | None
    effect_base_probe: float
    low_base_probe: float
    high_base_probe: float
    sentence: str


def judge(
    study: Study,
    claims: Sequence[Claim] | None = None,
    level: float | None = None,
    *,
    scores: Correctness | None = None,
    schedule: interim.Schedule | None = None,
) -> list[Judgement]:
    """A judgement of each claim, those of claims.yaml by default.

    A claim is tested over the seeds that all of its cells have, a contrast per seed, and over the test images; one seed
    judges nothing. scores: of each test image, the study's predictions by default. schedule: of interim analyses, where
    seeds were added until claims were decided; by default that in the study's folder.
    """
    default_claims, default_level = read_claims()
    claims = default_claims if claims is None else claims
    level = default_level if level is None else level
    schedule = interim.read(study.folders) if schedule is None else schedule
    trials = Trials(study, correctness_of(study) if scores is None else scores)
    tests = [assess(claim, trials, schedule) for claim in claims]
    p_values = [test.p_value for test in tests]
    rows = zip(claims, tests, holm(p_values), holm_divisors(p_values), strict=True)
    return [_judgement(claim, test, float(p_value), level, divisor) for claim, test, p_value, divisor in rows]


# Tables and a report ask for them.
@functools.lru_cache(maxsize=2)
def judged(study: Study) -> tuple[Judgement, ...]:
    """The judgements of claims.yaml."""
    return tuple(judge(study))


def as_frame(judgements: Sequence[Judgement]) -> pd.DataFrame:
    """A row per judgement."""
    names = [field.name for field in dataclasses.fields(Judgement)]
    return pd.DataFrame([dataclasses.asdict(judgement) for judgement in judgements], columns=names)


def _judgement(claim: Claim, test: Assessment, adjusted: float, level: float, divisor: int) -> Judgement:
    verdict: Verdict = "undecided"
    if test.estimate is None:
        verdict = "not tested"
    elif math.isnan(test.p_value):
        verdict = "not judged"
    elif adjusted < level:
        verdict = "supported" if test.favour else "refuted"
    p_value = test.p_value
    if verdict == "undecided" and test.latest is not None:
        # By all seeds; the most decisive interim analysis is of interest where it decides.
        test = test.latest
    estimate, interval = test.estimate, Interval(math.nan, math.nan, 1 - level, "", "")
    agreeing, side = 0, Interval(math.nan, math.nan, 0.95, "", "")
    if estimate is not None:
        interval = estimate.interval(1 - level / (1 if verdict == "not judged" else divisor * test.correction))
        agreeing = int(np.sum([claim.margin(value) > 0 for value in estimate.by_seed]))
        if estimate.seeds > 1:
            side = share_interval(agreeing, estimate.seeds)
    judgement = Judgement(
        claim=claim.name,
        statement=claim.statement,
        verdict=verdict,
        effect=math.nan if estimate is None else estimate.mean,
        low=interval.low,
        high=interval.high,
        confidence=interval.confidence,
        p_value=p_value,
        adjusted_p_value=adjusted,
        claimed=claim.claimed(),
        margin_reason=claim.margin_reason,
        n=0 if estimate is None else estimate.seeds,
        over=interval.over,
        agreeing=agreeing,
        agreeing_low=side.low,
        agreeing_high=side.high,
        basis="confirmatory" if test.confirmatory else "exploratory",
        contrast=test.decisive.name,
        paper_effect=paper_value(test.decisive) if test.recipe.is_on_papers_images else math.nan,
        holds_in_paper=claim.holds_in_paper() if test.recipe.is_on_papers_images else None,
        **_of_base_probe(test.base_probe),
        sentence="",
    )
    return dataclasses.replace(judgement, sentence=_sentence(claim, test, judgement))


def _of_base_probe(estimate: Estimate | None) -> dict[str, float]:
    """The three numbers of a probe that was fitted on base images alone."""
    interval = Interval(math.nan, math.nan, 0.95, "", "") if estimate is None else estimate.interval()
    mean = math.nan if estimate is None else estimate.mean
    return {"effect_base_probe": mean, "low_base_probe": interval.low, "high_base_probe": interval.high}


def _sentence(claim: Claim, test: Assessment, result: Judgement) -> str:
    if test.missing:
        return f"Not tested: {claim.statement} {test.missing[0].upper()}{test.missing[1:]}."
    head = ONE_SEED if result.verdict == "not judged" else f"{result.verdict}, {result.basis}"
    unit = " points" if claim.scale == 100 else ""
    effect = f"The {claim.measure} is {result.effect:+.2f}{unit}"
    if result.contrast:
        effect += f" ({result.contrast})"
    parts = [f"{head[0].upper()}{head[1:]}: {claim.statement}", f"{effect}; claimed: {result.claimed}{unit}."]
    parts.append(_interval_sentence(result))
    if not math.isnan(result.effect_base_probe):
        parts.append(f"Of a probe fitted on base images alone it is {base_probe_words(result)}.")
    if result.holds_in_paper is not None:
        agrees = "the claim holds there" if result.holds_in_paper else "the claim does not hold there"
        parts.append(f"The paper's own numbers give {result.paper_effect:+.2f}: {agrees}.")
    if not test.recipe.is_papers:
        parts.append(f"Not the paper's recipe: {test.recipe.differences()}.")
    return " ".join(parts)


def base_probe_words(result: Judgement) -> str:
    """The effect of a probe that never saw augmented images, such as "+14.7 (95 % over seeds alone: +14.3 to +15.1)".

    Which images it classifies correctly is not recorded.
    """
    interval = f" (95 % over seeds alone: {result.low_base_probe:+.1f} to {result.high_base_probe:+.1f})"
    return f"{result.effect_base_probe:+.1f}" + ("" if math.isnan(result.low_base_probe) else interval)


def _interval_sentence(result: Judgement) -> str:
    if math.isnan(result.low):
        return "One seed without predictions: there is no interval."
    interval = f"{_percent(result.confidence)} interval {result.low:+.2f} to {result.high:+.2f}"
    if result.verdict == "not judged":
        return f"{interval} over test images: it holds for these trained models; another seed may differ."
    shown = str(formats.p_value(result.adjusted_p_value))
    p_value = f"p {shown}" if shown.startswith("<") else f"p = {shown}"
    return (
        f"{interval}, adjusted {p_value}, over {result.over}; {result.agreeing} of {result.n} seeds are on the "
        "claimed side."
    )


def _percent(confidence: float) -> str:
    """Such as "95 %" or "99.4 %"."""
    return f"{100 * confidence:.3g} %"
