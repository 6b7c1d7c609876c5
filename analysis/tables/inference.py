"""What holds and how sure that is: verdicts, Table 1, the factorial analysis, and the seeds that a difference needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd

from analysis import formats
from analysis.figures import effects as effects_figure
from analysis.figures.drawing.saving import NotSupported
from analysis.formats import Table
from analysis.frames.labels import TEST_SET_NAMES, setting_name
from analysis.frames.study import Study
from analysis.inference import holm
from analysis.inference.verdicts import Judgement, judge
from analysis.tables.pilot import DIFFERENCES, seed_plans
from analysis.tables.study_table import StudyTable
from analysis.tables.table1 import paper_table, table1


def verdicts(study: Study) -> StudyTable:
    """The paper's claims with effect, interval, adjusted p and verdict; those not tested are in the frame alone."""
    if study.finished.empty:
        raise NotSupported("no trial has finished")
    rows = judge(study)
    names = [field.name for field in dataclasses.fields(Judgement)]
    frame = pd.DataFrame([dataclasses.asdict(row) for row in rows], columns=names)
    tested = [row for row in rows if row.verdict != "not tested"]
    if not tested:
        raise NotSupported("the study holds the cells of none of the paper's claims")
    texts = pd.DataFrame(
        {
            "verdict": [row.verdict for row in tested],
            "claim": [row.statement for row in tested],
            "effect": [f"{row.effect:+.2f}" for row in tested],
            "95 % interval": [_interval(row.low, row.high) for row in tested],
            "adjusted p": [formats.p_value(row.adjusted_p_value) for row in tested],
            "over": [f"{row.n:,} {row.over}" if row.over and row.n > 1 else None for row in tested],
            "the paper's": [None if pd.isna(row.paper_effect) else f"{row.paper_effect:+.2f}" for row in tested],
        }
    )
    right = ["effect", "95 % interval", "adjusted p", "the paper's"]
    note = "Effects in points of accuracy; p corrected by Holm's method for all claims tested here."
    return StudyTable("verdicts", frame, Table("Verdicts", (("", texts, right),), (note,), label="tab:verdicts"))


def paper(study: Study) -> StudyTable:
    """Table 1 of the paper with our figures, intervals and differences, and the controls."""
    frame = table1(study)
    if frame["base_accuracy"].isna().all():
        raise NotSupported("no trial of the paper's table has finished")
    return StudyTable("table1", frame, paper_table(study, intervals=True))


def effects(study: Study) -> StudyTable:
    """Main effects and interactions on the accuracy of each test set."""
    frame, note = effects_figure.numbers(study)
    blocks = []
    for test_set, part in frame.groupby("test_set", sort=False):
        texts = pd.DataFrame(
            {
                "effect": [
                    effects_figure.effect_label(*pair) for pair in zip(part["term"], part["contrast"], strict=True)
                ],
                "points": [f"{value:+.2f}" for value in part["effect"]],
                "95 % interval": [_interval(*pair) for pair in zip(part["low"], part["high"], strict=True)],
                "p": part["p_value"].map(formats.p_value).tolist(),
                "adjusted p": part["adjusted_p_value"].map(formats.p_value).tolist(),
            }
        )
        heading = TEST_SET_NAMES[str(test_set)].capitalize()
        blocks.append((heading, texts, list(texts.columns[1:])))
    notes = [
        "Of two levels the second minus the first, averaged over all other factors; of more levels each against the "
        "mean of all. An interaction is by how much the effect of one factor changes with the other. "
        f"Intervals are over {frame['over'].iloc[0]}; p corrected by Holm's method for all effects on a test set.",
        *([f"Model: {note}."] if note else []),
    ]
    table = Table("Main effects and interactions, in points of accuracy", tuple(blocks), tuple(notes), "tab:effects")
    return StudyTable("effects", frame, table)


def analysis_of_variance(study: Study) -> StudyTable:
    """F tests of the factorial analysis' terms, with the seed as block."""
    results, note = effects_figure.analyses(study)
    parts, blocks = [], []
    for test_set, result in results.items():
        frame = result.analysis_of_variance
        if frame.empty or frame["f"].isna().all():
            raise NotSupported("it needs two or more seeds whose figures differ")
        frame = frame.assign(
            test_set=test_set,
            adjusted_p_value=holm(frame["p_value"]),
            residual_sd=result.residual_sd,
            residual_degrees_of_freedom=result.residual_degrees_of_freedom,
        )
        parts.append(frame)
        texts = pd.DataFrame(
            {
                "term": [" × ".join(map(setting_name, term.split(" x "))) for term in frame["term"]],
                "df": frame["degrees_of_freedom"].astype(str).tolist(),
                "F": [f"{value:.2f}" for value in frame["f"]],
                "p": frame["p_value"].map(formats.p_value).tolist(),
                "adjusted p": frame["adjusted_p_value"].map(formats.p_value).tolist(),
                "partial η²": [f"{value:.3f}" for value in frame["partial_eta_squared"]],
            }
        )
        heading = (
            f"{TEST_SET_NAMES[test_set].capitalize()}: {result.residual_degrees_of_freedom} residual degrees of "
            f"freedom, residual standard deviation {result.residual_sd:.2f} points"
        )
        blocks.append((heading, texts, list(texts.columns[1:])))
    notes = [f"Model: {note}."] if note else []
    table = Table("Analysis of variance of the accuracy, seeds as blocks", tuple(blocks), tuple(notes), "tab:variance")
    return StudyTable("analysis_of_variance", pd.concat(parts, ignore_index=True), table)


def seeds_needed(study: Study) -> StudyTable:
    """With this study as pilot: how many seeds differences of several sizes need, and the hours they cost."""
    frame = seed_plans(study)
    texts: dict[tuple[str, str], Sequence[str | None]] = {
        ("", "difference"): [
            effects_figure.effect_label(*pair) for pair in zip(frame["factor"], frame["contrast"], strict=True)
        ],
        ("", "test set"): frame["test_set"].tolist(),
        ("", "seeds here"): frame["n"].astype(str).tolist(),
        ("", "sd"): [f"{value:.2f}" for value in frame["sd"]],
    }
    for difference in DIFFERENCES:
        group = f"{difference:g} {'point' if difference == 1 else 'points'}"
        seeds = zip(frame[f"seeds_{difference:g}"], frame[f"seeds_cautious_{difference:g}"], strict=True)
        texts[group, "seeds"] = [f"{usual} ({cautious})" for usual, cautious in seeds]
        hours = frame[f"hours_{difference:g}"]
        texts[group, "hours"] = [None if pd.isna(value) else f"{value:.1f}" for value in hours]
    shown = pd.DataFrame(texts)
    notes = (
        "Seeds with which a paired t test at the level 0.05 finds a difference of so many points with a probability of "
        "0.8; sd: of the difference between seeds here, in points. In brackets: with the upper 80 % limit of sd, which "
        "few seeds know badly.",
        "Hours: of all trials of these seeds, one after the other on one slot of this study's hardware.",
    )
    table = Table("Seeds that a difference needs", (("", shown, list(shown.columns[2:])),), notes, "tab:seeds")
    return StudyTable("seeds_needed", frame, table)


def _interval(low: float, high: float) -> str | None:
    return None if pd.isna(low) else f"{low:+.2f} to {high:+.2f}"
