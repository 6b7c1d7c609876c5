"""What a report says, apart from how it is marked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.figures import FigureSet, SavedFigure
from analysis.figures.drawing.captions import QUICK, counted, described, is_quick
from analysis.formats import Table, printable
from analysis.frames.labels import cell_label
from analysis.frames.study import Study
from analysis.frames.trial import config_of
from analysis.inference.verdicts import Judgement, judged
from analysis.reproduce import command
from analysis.tables import StudyTable

# More trials than this are left to trials.csv.
MOST_TRIALS = 100


@dataclass(frozen=True)
class Paragraph:
    """Running text; `strong` where it must not be overlooked. lead: words in bold before it."""

    text: str
    strong: bool = False
    lead: str = ""


@dataclass(frozen=True)
class Code:
    """A command, or several."""

    text: str


@dataclass(frozen=True, eq=False)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Paragraph | Code | Table | SavedFigure]


@dataclass(frozen=True, eq=False)
class Report:
    """A title, and sections in order."""

    title: str
    sections: Sequence[Section]


def report(study: Study, made: Sequence[StudyTable], skipped: Mapping[str, str], figures: FigureSet | None) -> Report:
    """All sections that the study supports; at least one trial of it must have ended.

    made, skipped: as `tables.all_of` gives them.
    """
    named = {table.name: table.table for table in made}
    sections = [Section("In short", _summary(study))]
    if not study.finished.empty and not is_quick(study.trials):
        sections.append(
            Section("Verdicts on the paper's claims", _verdicts(judged(study), named.pop("verdicts", None)))
        )
    failed, searched = named.pop("failures", None), named.pop("search", None)
    inference = [named.pop(name, None) for name in ("effects", "seeds_needed")]
    for title, shown in (
        ("Table 1", [named.pop("table1", None)]),
        ("What the search found", [searched]),
        ("Effects, and the seeds they need", inference),
        ("Further tables", list(named.values())),
        ("Figures", list(figures.saved) if figures is not None else []),
        ("Failures", [failed]),
    ):
        blocks = [block for block in shown if block is not None]
        if blocks:
            sections.append(Section(title, blocks))
    sections.append(Section("What was run", _provenance(study)))
    sections.append(Section("Trials, and how to run each again", _trials(study)))
    left_out = {f"Table {name}": reason for name, reason in skipped.items() if name != "failures"}
    if figures is not None:
        left_out |= {f"Figure {figure.name}": figure.reason for figure in figures.skipped}
    if left_out:
        lines = [Paragraph(f"{name.replace('_', ' ')}: {reason}.") for name, reason in left_out.items()]
        sections.append(Section("Not shown", lines))
    return Report(f"Study {', '.join(study.folders)}", sections)


def _summary(study: Study) -> list[Paragraph]:
    counts = study.trials["status"].value_counts()
    parts = [f"{count} {status}" for status, count in counts.items()]
    blocks = [Paragraph(f"{counted(len(study), 'trial')}: {', '.join(parts)}. {described(study.trials)}")]
    if is_quick(study.trials):
        blocks.insert(0, Paragraph(QUICK, strong=True))
    if "running" in counts.index:
        blocks.insert(0, Paragraph("The study has not ended: figures below are of the finished trials.", strong=True))
    if study.finished.empty:
        blocks.append(Paragraph("No trial has finished.", strong=True))
        return blocks
    best = study.finished.sort_values("augmented_accuracy", ascending=False).iloc[0]
    text = (
        f"Best on augmented images: {cell_label(best, study.factors())}, with an accuracy of "
        f"{best['augmented_accuracy']:.4f} ({best['base_accuracy']:.4f} on base images)."
    )
    return [*blocks, Paragraph(text)]


def _verdicts(rows: Sequence[Judgement], table: Table | None) -> list[Paragraph | Table]:
    tested = [row for row in rows if row.verdict != "not tested"]
    blocks: list[Paragraph | Table] = [] if table is None else [table]
    blocks += [
        Paragraph(rest, lead=f"{verdict}:") for verdict, _, rest in (row.sentence.partition(": ") for row in tested)
    ]
    untested = [row for row in rows if row.verdict == "not tested"]
    if untested:
        named = " ".join(row.statement for row in untested)
        blocks.append(Paragraph(f"Not tested, because the study does not hold their cells: {named}"))
    return blocks


def _provenance(study: Study) -> list[Paragraph | Table]:
    trials = study.trials
    hours = trials["wall_seconds"].sum() / 3600
    blocks: list[Paragraph | Table] = [Paragraph(f"{hours:.2f} hours inside trials, added up over all slots.")]
    names = ["device_name", "device", "threads", "platform", "python", "torch", "scikit_learn", "commit", "data_source"]
    known = trials[trials["device"].notna()]
    if not known.empty:
        groups = known.groupby(names, dropna=False, sort=False).size().rename("trials").reset_index()
        texts = groups.map(lambda value: None if pd.isna(value) else str(value))
        texts.columns = [name.replace("_", " ") for name in texts.columns]
        blocks.append(Table("Hardware and versions", (("", texts, ["threads", "trials"]),)))
    return blocks


def _trials(study: Study) -> list[Paragraph | Code | Table]:
    trials = study.trials[study.trials["model"].notna()]
    shown = trials.head(MOST_TRIALS)
    factors = study.factors()
    texts = pd.DataFrame(
        {
            "key": shown["key"].tolist(),
            "trial": [cell_label(row, factors) for _, row in shown.iterrows()],
            "seed": [str(seed) for seed in shown["seed"]],
            "status": shown["status"].tolist(),
            "base": [_accuracy(value) for value in shown["base_accuracy"]],
            "augmented": [_accuracy(value) for value in shown["augmented_accuracy"]],
        }
    )
    blocks: list[Paragraph | Code | Table] = [Table("Trials", (("", texts, ["seed", "base", "augmented"]),))]
    if len(trials) > len(shown):
        rest = f"The first {len(shown)} of {len(trials)} trials; all of them are in trials.csv."
        blocks.insert(0, Paragraph(rest, strong=True))
    blocks.append(Paragraph("Each trial alone, by its key; the same figures come out on the same kind of device:"))
    commands = []
    for _, row in shown.iterrows():
        try:
            commands.append(command(config_of(row)))
        except ValueError as problem:
            commands.append(printable(f"# {row['key']}: {problem}"))
    return [*blocks, Code("\n".join(commands))]


def _accuracy(value: float) -> str | None:
    return None if pd.isna(value) else f"{value:.4f}"
