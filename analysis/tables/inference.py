"""Tables of inference: verdicts, Table 1, balanced effects, and the seeds that a difference needs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import formats
from analysis.figures import effects as effects_figure
from analysis.figures.drawing.captions import is_quick
from analysis.figures.drawing.representatives import finished
from analysis.figures.drawing.saving import NotSupported
from analysis.formats import Table
from analysis.frames.labels import TEST_SET_NAMES
from analysis.frames.study import Study
from analysis.inference.assessment import CONFIRMATORY_SEEDS
from analysis.inference.verdicts import ONE_SEED, Judgement, as_frame, judged
from analysis.tables.pilot import DIFFERENCES, seed_plans
from analysis.tables.study_table import StudyTable
from analysis.tables.table1 import control_texts, controls_frame, paper_table, table1


def verdicts(study: Study) -> StudyTable:
    """The paper's claims with effect, interval, adjusted p and verdict; those not tested are in the frame alone.

    Raises `NotSupported` where no claim's cells are there, or the study is a `--quick` run, which judges nothing.
    """
    finished(study)
    if is_quick(study.trials):
        raise NotSupported("a quick run judges no claim")
    rows = judged(study)
    tested = [row for row in rows if row.verdict != "not tested"]
    if not tested:
        raise NotSupported("no seed of the study has finished in all cells of any of the paper's claims")
    controls = controls_frame(study)
    blocks = [("", texts := _verdict_texts(tested), [name for name in texts if name not in ("verdict", "claim")])]
    if len(controls):
        shown = control_texts(controls)
        blocks.append(("Accuracy (%) of controls, which learn no encoding", shown, list(shown.columns[1:])))
    notes = _verdict_notes(tested)
    notes += [] if len(controls) else ["This study has no controls (models pixels, pca, hog, untrained)."]
    return StudyTable("verdicts", as_frame(rows), Table("Verdicts", tuple(blocks), tuple(notes), label="tab:verdicts"))


def _verdict_texts(tested: Sequence[Judgement]) -> pd.DataFrame:
    columns: dict[str, list[str | None]] = {
        "verdict": [ONE_SEED if row.verdict == "not judged" else row.verdict for row in tested],
        "claim": [f"{row.statement} ({row.contrast})" if row.contrast else row.statement for row in tested],
        "claimed": [row.claimed for row in tested],
        "effect": [f"{row.effect:+.2f}" for row in tested],
        "interval": [_interval(row.low, row.high) for row in tested],
        "adjusted p": [formats.p_value(row.adjusted_p_value) for row in tested],
        "agree": [f"{row.agreeing} of {row.n}" if row.n > 1 else None for row in tested],
        "base probe": [None if pd.isna(row.effect_base_probe) else f"{row.effect_base_probe:+.2f}" for row in tested],
        "paper": [_in_paper(row) for row in tested],
    }
    # On other images than the paper's it has no numbers.
    return pd.DataFrame({name: texts for name, texts in columns.items() if name != "paper" or any(texts)})


def _verdict_notes(tested: Sequence[Judgement]) -> list[str]:
    counted = [row for row in tested if row.verdict != "not judged"]
    notes = [
        "A claim is judged in these settings. Effects in points of accuracy, where a claim has several of the one that "
        "decides, in brackets. Agree: seeds on the claimed side. Base probe: the effect for a classifier that never "
        "saw augmented images, not judged."
    ]
    if any(row.holds_in_paper is not None for row in tested):
        notes.append("Paper: the effect in the paper's own Table 1, and whether the claim holds there.")
    if counted:
        over = " or ".join(dict.fromkeys(row.over for row in counted))
        basis = " or ".join(dict.fromkeys(row.basis for row in counted))
        notes.append(
            f"Intervals are over {over}, corrected as p by Holm's method for the {len(counted)} claims judged: of "
            f"{_percent(counted)} confidence. {basis.capitalize()}: confirmatory verdicts rest on at least "
            f"{CONFIRMATORY_SEEDS} seeds trained after the claims were written down, exploratory ones not."
        )
    if any(row.verdict == "not judged" and pd.notna(row.low) for row in tested):
        notes.append(
            "One seed: 95 % intervals over test images hold for these trained models; another seed may differ by more."
        )
    return notes + [f"Why {row.claimed} ({row.claim}): {row.margin_reason}" for row in tested if row.margin_reason]


def _percent(rows: Sequence[Judgement]) -> str:
    found = sorted({row.confidence for row in rows})
    texts = list(dict.fromkeys(f"{100 * value:.3g}" for value in (found[0], found[-1])))
    return " to ".join(texts) + " %"


def _in_paper(row: Judgement) -> str | None:
    if row.holds_in_paper is None or pd.isna(row.paper_effect):
        return None
    return f"{row.paper_effect:+.2f}, {'holds' if row.holds_in_paper else 'does not'}"


def paper(study: Study) -> StudyTable:
    """Table 1 of the paper with our results, intervals and differences, and the controls."""
    frame = table1(study)
    if frame["base_accuracy"].isna().all():
        raise NotSupported("no trial of the paper's table has finished")
    return StudyTable("table1", frame, paper_table(study))


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
                # Means of counts often lie half-way between two hundredths: rounded alike however they are summed.
                "points": [f"{value:+.2f}" for value in part["effect"].round(9)],
                "95 % interval": [_interval(*pair) for pair in zip(part["low"], part["high"], strict=True)],
            }
        )
        if part["p_value"].notna().any():
            texts["adjusted p"] = part["adjusted_p_value"].map(formats.p_value).tolist()
        heading = TEST_SET_NAMES[str(test_set)].capitalize()
        blocks.append((heading, texts, list(texts.columns[1:])))
    over = frame["over"].iloc[0]
    intervals = f"95 % intervals are over {over}" if over else "One seed without predictions has no intervals"
    judged_by = (
        "p corrected by Holm's method for all effects on a test set"
        if frame["p_value"].notna().any()
        else "one seed judges no recipe, and there is no p"
    )
    notes = [
        "Of two levels the second minus the first, averaged over all other factors; of more levels each against the "
        "mean of all. An interaction is by how much the effect of one factor changes with the other. "
        f"{intervals}; {judged_by}.",
        *([f"{note[0].upper()}{note[1:]}."] if note else []),
    ]
    table = Table("Main effects and interactions, in points of accuracy", tuple(blocks), tuple(notes), "tab:effects")
    return StudyTable("effects", frame, table)


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
        "Seeds with which a paired t test at the level 0.05 finds a difference of so many points on these test images "
        "with a probability of 0.8; sd: of the difference between seeds here, in points. In brackets: with the upper "
        "80 % limit of sd, which few seeds know badly.",
        "Hours: of all trials of these seeds, one after the other on one slot of this study's hardware, by the median "
        "seed.",
    )
    table = Table("Seeds that a difference needs", (("", shown, list(shown.columns[2:])),), notes, "tab:seeds")
    return StudyTable("seeds_needed", frame, table)


def _interval(low: float, high: float) -> str | None:
    return None if pd.isna(low) else f"{low:+.2f} to {high:+.2f}"
