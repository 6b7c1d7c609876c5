"""The numbers of single studies in README.md and analysis/published/README.md, as sentences made from the records."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import tables
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.recipe import Recipe, at_default
from analysis.frames.study import Study
from analysis.inference import Estimate, estimate
from analysis.inference.assessment import CONFIRMATORY_SEEDS
from analysis.inference.claims import read_claims
from analysis.paper import TABLE_1

README = Path("README.md")
FOUND = Path("analysis/published/README.md")
_WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Sentence:
    """Words that `document`, a path in the repository, must contain, whatever its line breaks."""

    document: Path
    words: str


def in_words(count: int) -> str:
    """A number up to ten as a word."""
    return _WORDS[count] if count < len(_WORDS) else str(count)


def _of_paper_grid(study: Study) -> Iterator[Sentence]:
    # Other probes of the same trainings may stand beside them.
    study = Study(_judged(at_default(study.finished, study.seedless)), study.epochs, study.folders)
    yield from _costs_and_repairs(study)
    yield from _verdicts(study)
    yield from _fits(study)


def _judged(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials of the seeds that all cells have, without those that no claim counts."""
    cells = trials.groupby("seed")["key"].nunique()
    whole = cells.index[cells == cells.max()]
    seen = {seed for claim in read_claims()[0] for seed in claim.seen_seeds}
    fresh = [seed for seed in whole if seed not in seen]
    return trials[trials["seed"].isin(fresh if len(fresh) >= CONFIRMATORY_SEEDS else whole)]


def _costs_and_repairs(study: Study) -> Iterator[Sentence]:
    trials = study.finished
    gap = 100 * (trials["base_accuracy"] - trials["augmented_accuracy"])
    behind = trials["stn"] == "pretrained"
    means = gap.groupby([trials["train_dataset"], trials["model"], behind]).mean()
    plain, repaired = (means.xs(stn, level=2) for stn in (False, True))
    claims = tables.verdicts(study).frame.set_index("claim")
    cost, stn, categorical = (
        f"{claims.loc[name, 'low']:.1f} to {claims.loc[name, 'high']:.1f}"
        for name in (
            "gap_is_about_ten_points",
            "stn_has_no_pronounced_effect",
            "categorical_beats_vae_on_augmented",
        )
    )
    never, wins, gains = _never_saw(trials)
    papers = {name: f"{value:.1f}" for name, value in claims["paper_effect"].items()}
    yield Sentence(
        README,
        f"- **Transformations cost {claims.loc['gap_is_about_ten_points', 'effect']:.1f} points of accuracy** on "
        f"average over the eight cells ({cost}; "
        f"paper: {papers['gap_is_about_ten_points']}) if the classifier was fitted on transformed images, "
        f"{plain.min():.0f} to {plain.max():.0f} without an STN, {repaired.min():.0f} to {repaired.max():.0f} behind "
        f"one; {_with_interval(never, ' points')} if it never saw one.",
    )
    effect = claims.loc["stn_has_no_pronounced_effect", "effect"]
    yield Sentence(
        README,
        f"- **A pretrained STN {_repairs(claims, plain.mean())}**: {effect:.1f} points on transformed images ({stn}; "
        f"paper: {papers['stn_has_no_pronounced_effect']}), {wins.mean:.1f} for a classifier that never saw any. "
        f"{_on_base_images(study)}",
    )
    vae, other = (
        _effect(trials, "augmented_accuracy", "train_dataset", "augmented", ~behind & (trials["model"] == model)).mean()
        for model in ("vae", "categorical_vae")
    )
    yield Sentence(
        README,
        f"- **Training on transformed images** {_helps(claims)}: {vae:.1f} points for the VAE and {other:.1f} for the "
        "categorical VAE without an STN.",
    )
    lead = claims.loc["categorical_beats_vae_on_augmented", "effect"]
    yield Sentence(
        README,
        f"- **The categorical VAE** {_leads(claims, lead)} ({categorical}), with 100 latent numbers "
        f"against 10; {gains.mean:.1f} if the classifier was fitted on untransformed images alone.",
    )
    papers_vae = trials[(trials["model"] == "vae") & ~behind & (trials["train_dataset"] == "base")]
    base, augmented = (100 * papers_vae[f"{test}_accuracy"].mean() for test in TEST_SETS)
    yield Sentence(
        README, f"than the 10 of the paper's VAE ({base:.1f} / {augmented:.1f} %, trained on untransformed images)"
    )
    yield Sentence(
        FOUND,
        f"transformations cost it {_with_interval(never, ' points')}, the STN repairs {_with_interval(wins)}, and the "
        f"categorical VAE gains {_with_interval(gains)}.",
    )


def _repairs(claims: pd.DataFrame, cost: float) -> str:
    """The wording that the verdict on the STN supports; cost: points lost without one, in the mean."""
    found = claims.loc["stn_has_no_pronounced_effect"]
    if found["verdict"] != "refuted" or found["low"] <= 0:
        return "is not shown to repair it"
    return "repairs most of it" if found["low"] > cost / 2 else "repairs part of it"


def _helps(claims: pd.DataFrame) -> str:
    found = claims.loc["augmented_training_worsens_augmented"]
    if found["verdict"] != "refuted":
        return "is not shown to help"
    less = found["high"] < claims.loc["stn_has_no_pronounced_effect", "low"]
    return "helps less" if less else "helps"


def _leads(claims: pd.DataFrame, lead: float) -> str:
    is_so = claims.loc["categorical_beats_vae_on_augmented", "verdict"] == "supported"
    return f"is {lead:.1f} points more accurate" if is_so else f"is not shown to be more accurate: {lead:+.1f} points"


def _on_base_images(study: Study) -> str:
    """What the STN does to images that are not transformed."""
    effects = tables.effects(study).frame
    found = effects[(effects["test_set"] == "base") & (effects["term"] == "stn")].iloc[0]
    outcome = "is not distinguishable from zero" if found["adjusted_p_value"] > 0.05 else "is distinguishable from zero"
    interval = f"{found['low']:.1f} to {found['high']:+.1f}"
    return f"On untransformed images its effect {outcome}: {found['effect']:.1f} points ({interval})."


def _never_saw(trials: pd.DataFrame) -> tuple[Estimate, Estimate, Estimate]:
    """For a classifier that was fitted on base images: the cost of transformations, what an STN repairs of it, and
    what the categorical VAE gains, in points over seeds."""
    gap = trials["base_accuracy_fit_base"] - trials["augmented_accuracy_fit_base"]
    stn, categorical = (
        estimate(_effect(trials, "augmented_accuracy_fit_base", factor, level))
        for factor, level in (("stn", "pretrained"), ("model", "categorical_vae"))
    )
    return estimate(100 * gap.groupby(trials["seed"]).mean()), stn, categorical


def _verdicts(study: Study) -> Iterator[Sentence]:
    found = tables.verdicts(study).frame
    judged = found[found["verdict"] != "not tested"]
    count = {name: in_words(int((judged["verdict"] == name).sum())) for name in ("supported", "refuted", "undecided")}
    in_paper = judged["holds_in_paper"].astype(str)
    holds, fails = (in_words(int((in_paper == value).sum())) for value in ("True", "False"))
    claims = in_words(len(judged))
    refuted_there = int(((judged["verdict"] == "refuted") & (in_paper == "True")).sum())
    yield Sentence(
        README,
        f"Of the paper's {claims} claims on these cells, as they are made testable here, {count['supported']} are "
        f"supported, {count['refuted']} refuted and {count['undecided']} undecided; {holds} hold in its own Table 1, "
        f"{in_words(refuted_there)} of those refuted among them.",
    )
    yield Sentence(FOUND, f"Of the {claims} claims {holds} hold in the paper's own table and {fails} do not")
    bases = sorted(set(judged["basis"]))
    yield Sentence(FOUND, f"they are {' and '.join(bases)}")


def _fits(study: Study) -> Iterator[Sentence]:
    """What the images that the classifier was fitted on do to the distance from the paper's accuracies."""
    apart: dict[tuple[str, str], list[float]] = {}
    for cell in TABLE_1:
        if cell.stn == "none":
            own = Recipe({}).trials_of(study.finished, cell.factors, study.seedless)
            for test, fit in itertools.product(TEST_SETS, TEST_SETS):
                distance = 100 * (own[f"{test}_accuracy_fit_{fit}"].mean() - getattr(cell, f"{test}_accuracy"))
                apart.setdefault((test, fit), []).append(distance)
    most = max(abs(value) for test in TEST_SETS for value in apart[test, test])
    warped, base = apart["augmented", "base"], apart["base", "augmented"]
    yield Sentence(
        FOUND,
        f"without an STN are within {math.ceil(10 * most) / 10:.1f} points of the paper's then. Fitted on base images "
        f"alone it would be {-max(warped):.0f} to {-min(warped):.0f} points below the paper's on warped images, "
        f"fitted on warped images alone {-max(base):.0f} to {-min(base):.0f} below it on base images.",
    )


def _of_paper_reading(study: Study) -> Iterator[Sentence]:
    best = {"pixel_std": 0.3205, "interpolation": "nearest", "fill": "grey"}
    trials = study.finished
    losses: dict[str, list[float]] = {}
    accuracies: dict[str, list[float]] = {}
    for cell in TABLE_1:
        own = Recipe(best).trials_of(trials, cell.factors, study.seedless)
        for metric in ("base_loss", "augmented_loss"):
            losses.setdefault(cell.stn, []).append(100 * abs(own[metric].mean() / getattr(cell, metric) - 1))
        if cell.stn == "pretrained":
            bypassed = Recipe({**best, "probe_stn": "bypassed"}).trials_of(trials, cell.factors, study.seedless)
            for metric in ("base_accuracy", "augmented_accuracy"):
                distance = 100 * abs(bypassed[metric].mean() - getattr(cell, metric))
                accuracies.setdefault(cell.model, []).append(distance)
    plain, behind = (math.ceil(max(losses[stn])) for stn in ("none", "pretrained"))
    yield Sentence(README, f"the eight of the cells without an STN within {plain} %, the others within {behind} %")
    categorical, vae = (_within(accuracies[model]) for model in ("categorical_vae", "vae"))
    yield Sentence(
        README,
        f"The accuracies of the categorical VAE are then within {categorical}, those of the VAE within {vae}, and the "
        f"{_gain_of_the_stn(study, best)}",
    )
    yield from _one_by_one(study)


def _within(distances: list[float]) -> str:
    most = math.ceil(max(distances))
    return "a point" if most == 1 else f"{most} points"


def _gain_of_the_stn(study: Study, best: dict[str, Any]) -> str:
    """What a classifier that read images past the STN gains of it, in the words of the README."""
    own = functools.partial(Recipe.trials_of, trials=study.finished, seedless=study.seedless)
    changes: dict[str, list[float]] = {}
    for model, data in itertools.product(("vae", "categorical_vae"), TEST_SETS):
        cell = {"model": model, "train_dataset": data}
        with_stn, without = (
            own(Recipe({**best, **probe}), cell=cell | {"stn": stn})["augmented_accuracy"].mean()
            for probe, stn in (({"probe_stn": "bypassed"}, "pretrained"), ({}, "none"))
        )
        changes.setdefault(model, []).append(100 * (with_stn - without))
    gains = max(max(found) for found in changes.values())
    outcome = "STN gains nothing" if gains < 0 else f"STN gains up to {gains:.1f} points"
    return f"{outcome}: it costs the VAE up to {-min(changes['vae']):.1f} points"


def _one_by_one(study: Study) -> Iterator[Sentence]:
    """What each interpretation of an image does to the distance of the losses from the paper's."""
    errors = tables.interpretations(study).frame.set_index("reading")["plain_vae_loss_error"]
    best = "pixel std 0.3205, interpolation nearest, fill grey"
    without = [
        *("pixel std 0.3205, interpolation nearest", "pixel std 0.3205, fill grey"),
        "interpolation nearest, fill grey",
    ]
    default, std, grey, all_three = (
        f"{errors[name]:.1f} %" for name in ("the default settings", "pixel std 0.3205", without[1], best)
    )
    no_grey, no_nearest, no_std = (f"{errors[name]:.1f} %" for name in without)
    linear, half, twice, batch, whole, fixed = (
        f"{errors[f'{best}, {name}']:.1f} %"
        for name in (
            *("output activation linear", "hidden widths 16-32-64", "hidden widths 64-128-256"),
            *("batch size 128", "whole pixel shifts True", "training warps fixed"),
        )
    )
    yield Sentence(
        FOUND,
        f"add up one by one: their mean distance from the paper's is {default} with the default settings, {std} where "
        f"images are divided by 0.3205, {grey} with grey from outside as well, and {all_three} with nearest "
        f"neighbours as well. It takes all three: it is {no_grey} without grey, {no_nearest} without nearest "
        f"neighbours, and {no_std} where images are divided by 0.353.",
    )
    yield Sentence(
        FOUND,
        f"a linear output does not fit, {linear}, and networks half or twice as wide fit less well, {half} and "
        f"{twice}.",
    )
    yield Sentence(
        FOUND,
        f"Batches of 128, shifts by whole pixels and fixed training warps, with {batch}, {whole} and {fixed}, can't be "
        f"told from their defaults by one seed",
    )
    low, high = errors[without].min(), errors[without].max()
    yield Sentence(README, f"those of the VAE without an STN are {low:.0f} to {high:.0f} % off on average.")


def _of_invariance(study: Study) -> Iterator[Sentence]:
    arms = tables.arms(study).frame.set_index("arm")

    def both(arm: str, sign: str = "") -> str:
        return " / ".join(f"{100 * arms.loc[arm, f'{test}_accuracy']:.1f}" for test in TEST_SETS) + sign

    pixels, pca, untrained, behind = (both(arm, " %") for arm in ("raw pixels", "PCA", "untrained encoder", "PCA, STN"))
    for document, joined in ((README, ","), (FOUND, " and")):
        yield Sentence(
            document,
            f"raw pixels reach {pixels}, PCA with 100 components {pca}{joined} an untrained encoder with 100 latents "
            f"{untrained}",
        )
    yield Sentence(
        README, f"A VAE with 100 latents, trained on transformed images for 5 epochs, reaches {both('VAE', ' %')}."
    )
    yield Sentence(README, f"Behind an STN PCA reaches {behind}")
    best = arms.index[arms["number"] == 1][0]
    yield Sentence(FOUND, f"Best on validation images is {best}: {both(best)}")
    ceiling = arms.index[arms["is_ceiling"]][0]
    vae, vae_behind, labels = both("VAE"), both("VAE, STN"), both(ceiling)
    yield Sentence(FOUND, f"Best of the encoders trained with labels is {ceiling}: {labels}")
    yield Sentence(
        README,
        f"is best on validation images, {both(best)}; the VAE reaches {vae}, behind the STN {vae_behind}, the best "
        f"encoder trained with labels {labels}.",
    )
    lags = _moments_minus_stn(arms[~arms["is_ceiling"]])
    apart, count = math.ceil(10 * lags["augmented"].abs().max()) / 10, len(lags)
    low, high = lags["base"].min(), lags["base"].max()
    yield Sentence(
        README,
        f"Image moments in front, which need no training, are within {apart:.1f} points of the STN on transformed "
        f"images in all {in_words(count)} arms without labels that have both, and between {-low:.1f} below and "
        f"{high:.1f} above it on untransformed ones.",
    )


def _moments_minus_stn(arms: pd.DataFrame) -> pd.DataFrame:
    """By test set: accuracies behind moments minus those of the same arm behind the STN, in points."""
    stn = {arm.replace(", STN", ""): arm for arm in arms.index if ", STN" in arm}
    moments = {arm.replace(", front moments", ""): arm for arm in arms.index if ", front moments" in arm}
    both = sorted(stn.keys() & moments.keys())
    found = {
        test: [100 * (arms.loc[moments[rest], column] - arms.loc[stn[rest], column]) for rest in both]
        for test, column in ((test, f"{test}_accuracy") for test in TEST_SETS)
    }
    return pd.DataFrame(found, index=both)


def _of_latent_size(study: Study) -> Iterator[Sentence]:
    sizes = study.trials.assign(size=study.trials["latent_dim"] * study.trials["categories"].fillna(1))
    table = sizes.pivot_table(index="size", columns="model", values=["base_accuracy", "augmented_accuracy"])
    leads = [100 * (table[metric]["vae"] - table[metric]["categorical_vae"]) for metric in table.columns.levels[0]]
    among = pd.concat([lead.loc[10:50] for lead in leads])
    yield Sentence(
        README, f"With 10 to 50 (`latent_size`) the VAE is {among.min():.1f} to {among.max():.1f} points ahead."
    )


OF_STUDY: Mapping[str, Callable[[Study], Iterator[Sentence]]] = {
    "paper_grid": _of_paper_grid,
    "paper_reading": _of_paper_reading,
    "invariance": _of_invariance,
    "latent_size": _of_latent_size,
}


def _effect(trials: pd.DataFrame, metric: str, factor: str, level: str, among: pd.Series | None = None) -> np.ndarray:
    """By seed: the mean of `metric` with the level minus that of all other trials, in points."""
    part = trials if among is None else trials[among]
    chosen = part[factor] == level
    means = [part[rows].groupby("seed")[metric].mean() for rows in (chosen, ~chosen)]
    return np.asarray(100 * (means[0] - means[1]), dtype=float)


def _with_interval(found: Estimate, unit: str = "") -> str:
    interval = found.interval()
    return f"{found.mean:.1f}{unit} ({interval.low:.1f} to {interval.high:.1f})"
