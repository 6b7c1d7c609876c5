"""A study's answer to its question: a few sentences from its verdicts, its search or its factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.frames.cells import VALIDATION, chosen_by
from analysis.frames.labels import (
    are_bare,
    are_controls,
    cell_label,
    model_name,
    percent,
    setting_label,
    setting_name,
    without_ceilings,
)
from analysis.frames.search import objectives, search_of
from analysis.frames.study import MAIN_METRICS, PAPER_FACTORS, Study
from analysis.inference.verdicts import ONE_SEED, Judgement, base_probe_words
from analysis.tables.table1 import controls_frame
from tivae.config import TrialConfig

PUBLISHED = Path(__file__).resolve().parents[1] / "published"
# Controls that are told of.
MOST_CONTROLS = 5
# The claims that answer the study's question, and what each is about.
_LEADS = {
    "gap_is_about_ten_points": "What transformations cost",
    "stn_has_no_pronounced_effect": "What the pretrained STN gains on transformed images",
    "augmented_training_worsens_augmented": "What training on augmented images gains there",
    "categorical_beats_vae_on_augmented": "What the categorical VAE gains there",
    "larger_latents_help_the_vae": "What 100 latents gain over 10",
    "categorical_wins_only_by_size": "What the categorical VAE gains over a VAE of its size",
    "joint_stn_beats_pretrained": "What joint training of the STN gains over pretraining",
}


def answers(study: Study, judgements: Sequence[Judgement]) -> list[tuple[str, str]]:
    """Sentences, each with what it is about, those that answer the study's question first; none where none finished."""
    if study.finished.empty:
        return []
    searched = _search(study)
    if searched:
        return searched
    tested = [row for row in judgements if row.claim in _LEADS and row.verdict != "not tested"]
    tested.sort(key=lambda row: list(_LEADS).index(row.claim))
    verdicts = [(_LEADS[row.claim], _verdict(row)) for row in tested]
    # By the mean of a cell over its seeds.
    cells = study.cells((*MAIN_METRICS, VALIDATION))
    cells = without_ceilings(cells[cells["finished"] > 0])
    ranked_by = chosen_by(cells)
    best = cells.loc[cells[ranked_by].fillna(-1).idxmax()]
    return [*verdicts, *_controls(study), *_factors(study, cells, best), _best(study, best, ranked_by)]


def _verdict(row: Judgement) -> str:
    interval = ""
    if not math.isnan(row.low):
        seeds = f"{row.n} seeds" if row.n > 1 else "one seed"
        interval = f" ({100 * row.confidence:.3g} %: {row.low:+.1f} to {row.high:+.1f}, {seeds}, over {row.over}"
        interval += ")" if math.isnan(row.paper_effect) else f"; the paper: {row.paper_effect:+.1f})"
    other = ""
    if not math.isnan(row.effect_base_probe):
        other = f" For a classifier that never saw augmented images: {base_probe_words(row)}."
    verdict = ONE_SEED if row.verdict == "not judged" else row.verdict
    return f"{row.effect:+.1f} points of accuracy{interval}.{other} Claim {verdict}: “{row.statement}”"


def _controls(study: Study) -> list[tuple[str, str]]:
    """The controls' accuracies, the study's own or else, where they are comparable, published ones."""
    own, source = controls_frame(study), ""
    configs = set(study.seedless.values())
    if own.empty and configs and all(map(_is_measured_as_published, configs)):
        own, source = _published_controls()
    if own.empty:
        return []
    few, rest = own, ""
    if len(own) > MOST_CONTROLS:
        few = own.sort_values("augmented_accuracy", ascending=False, kind="stable")[:MOST_CONTROLS]
        rest = f", the best of {len(own)} on augmented images"
    read = [
        f"{row['control']} {percent(row['base_accuracy'])} and {percent(row['augmented_accuracy'])}"
        for _, row in few.iterrows()
    ]
    return [("Controls reach", f"on base and augmented images, learning no encoding: {'; '.join(read)}{rest}{source}.")]


def _is_measured_as_published(config: TrialConfig) -> bool:
    """Whether all that reaches a bare control is as in the paper's recipe, but for images that are held out."""
    apart = ("model", "stn", "front", "probe_features", "validation_images")
    given = {name: value for name, value in config.to_dict().items() if value is not None and name not in apart}
    return TrialConfig.from_dict(given | {"model": "pixels"}) == TrialConfig(model="pixels")


def _published_controls() -> tuple[pd.DataFrame, str]:
    """Their accuracies, and whose they are, in words."""
    for path in sorted(PUBLISHED.glob("*/tables/controls.csv")):
        found = pd.read_csv(path)
        # Of the images themselves, without what stands in front; ceilings are in the table as well.
        found = found[are_controls(found["model"]) & are_bare(found)]
        labels = [
            model_name(row.model) + ("" if row.model == "pixels" else f", {row.encoding_dim:.0f} numbers")
            for row in found.itertuples()
        ]
        held_out = pd.read_csv(path.parents[1] / "trials.csv")["validation_images"].fillna(0).max()
        images = f"{TrialConfig().images.train_images - held_out:,.0f} training images"
        return found.assign(control=labels), f" (of a published study, fitted on {images}; this one has no controls)"
    return pd.DataFrame(), ""


def _best(study: Study, best: pd.Series, ranked_by: str) -> tuple[str, str]:
    seeds = f", mean of {best['finished']} seeds" if best["finished"] > 1 else ""
    how = "Chosen on validation images." if ranked_by == VALIDATION else "Chosen on these test images: a description."
    return "Best on transformed images", (
        f"{cell_label(best, study.factors())}, with {percent(best['augmented_accuracy'])} "
        f"({percent(best['base_accuracy'])} on base images{seeds}). {how}"
    )


def _factors(study: Study, cells: pd.DataFrame, best: pd.Series) -> list[tuple[str, str]]:
    """For each factor beyond the paper's three the range that it spans, all others as in the best cell."""
    cells = cells[cells["augmented_accuracy"].notna()]
    sentences = []
    for name in [name for name in study.factors() if name not in PAPER_FACTORS]:
        same = pd.Series(True, index=cells.index)
        for other in [other for other in study.cell_factors() if other != name]:
            same &= cells[other].isna() if pd.isna(best[other]) else (cells[other] == best[other]).fillna(False)
        line = cells[same & cells[name].notna()].sort_values("augmented_accuracy")
        if len(line) < 2:
            continue
        ends = [
            f"{percent(row['augmented_accuracy'])} with {setting_label(name, row[name])}"
            for _, row in line.iloc[[0, -1]].iterrows()
        ]
        title = setting_name(name)
        sentence = f"augmented accuracy from {ends[0]} to {ends[1]}, all else as in the best cell."
        sentences.append((f"{title[0].upper()}{title[1:]}", sentence))
    return sentences


def _search(study: Study) -> list[tuple[str, str]]:
    try:
        search = search_of(study)
    except ValueError:
        return []
    wanted = objectives(search)
    if search is None or not wanted:
        return []
    complete = [trial for trial in search.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    if not complete:
        return [("The search", "has no complete trial yet.")]
    name, is_maximized = next(iter(wanted.items()))
    column = list(search.metric_names or []).index(name)
    best = sorted(complete, key=lambda trial: trial.values[column], reverse=is_maximized)[0]  # noqa: PD011
    settings = ", ".join(setting_label(key, value) for key, value in best.params.items())
    value = best.values[column]  # noqa: PD011
    shown = percent(value) if name.endswith("accuracy") else f"{value:.4g}"
    found = [(f"Best {name.replace('_', ' ')} of {len(complete)} complete trials", f"{shown}, with {settings}.")]
    if len(search.directions) > 1:
        found.append(("Pareto front", f"{len(search.best_trials)} trials that no other beats in every objective."))
    tests = study.finished[study.finished["key"] == best.user_attrs.get("key")]
    if not tests.empty:
        row = tests.iloc[0]
        shown = f"{percent(row['base_accuracy'])} base, {percent(row['augmented_accuracy'])} augmented."
        found.append(("That trial on the test images, which had no part in the search", shown))
    return found
