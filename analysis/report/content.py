"""The content of a report, independent of markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from analysis.figures import SavedFigure
from analysis.figures.drawing.captions import QUICK, counted, described, is_quick
from analysis.formats import Table
from analysis.frames.labels import cell_label, percent
from analysis.frames.study import Study
from analysis.inference.verdicts import Judgement, judged
from analysis.report import answer
from analysis.reproduce import command_of
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


@dataclass(frozen=True)
class Answers:
    """A study's question, and what it answers: sentences, each with what it is about."""

    question: str
    sentences: Sequence[tuple[str, str]]


Block: TypeAlias = Paragraph | Code | Table | StudyTable | SavedFigure | Answers


@dataclass(frozen=True, eq=False)
class Section:
    """A heading and what stands below it. beside: one figure next to it; is_folded: shown when asked for."""

    title: str
    blocks: Sequence[Block]
    beside: SavedFigure | None = None
    is_folded: bool = False


@dataclass(frozen=True, eq=False)
class Report:
    """A title, and sections in order."""

    title: str
    sections: Sequence[Section]


def report(
    study: Study,
    made: Sequence[StudyTable],
    skipped: Mapping[str, str],
    drawn: Sequence[SavedFigure],
    not_drawn: Mapping[str, str],
) -> Report:
    """All sections that the study supports; at least one trial of it must have ended.

    made, skipped: as `tables.all_of` gives them. drawn, not_drawn: as `figures.write_all` gives them.
    """
    named = {table.name: table for table in made}
    judgements = judged(study) if not study.finished.empty and not is_quick(study.trials) else ()
    beside = min(drawn, key=_rank, default=None)
    drawn = [figure for figure in drawn if figure is not beside]
    sections = [Section("In short", _summary(study, judgements), beside)]
    failed, searched = named.pop("failures", None), named.pop("search", None)
    verdicts, table1 = named.pop("verdicts", None), named.pop("table1", None)
    if searched is not None:
        sections.append(Section("What the search found", [searched]))
    if judgements:
        judged_claims = [*filter(None, [verdicts]), *_sentences(judgements, tested=False)]
        sections.append(Section("Verdicts on the paper's claims", judged_claims))
    inference = [named.pop(name, None) for name in ("effects", "seeds_needed")]
    for title, shown in (
        ("Table 1", [table1]),
        ("Effects, and the seeds they need", inference),
        ("Further tables", list(named.values())),
        ("Figures", drawn),
        ("Failures", [failed]),
    ):
        blocks = [block for block in shown if block is not None]
        if blocks:
            sections.append(Section(title, blocks))
    if sentences := _sentences(judgements, tested=True):
        sections.append(Section("Verdicts in full", sentences, is_folded=True))
    sections.append(Section("What was run", _provenance(study)))
    sections.append(Section("Trials, and how to run each again", _trials(study), is_folded=True))
    left_out = {f"Table {name}": reason for name, reason in skipped.items() if name != "failures"}
    left_out |= {f"Figure {name}": reason for name, reason in not_drawn.items()}
    if left_out:
        lines = [Paragraph(f"{name.replace('_', ' ')}: {reason}.") for name, reason in left_out.items()]
        sections.append(Section("Not shown", lines, is_folded=True))
    return Report(f"Study {', '.join(study.folders)}", sections)


def _rank(figure: SavedFigure) -> int:
    """The figure that answers the question has the least: of a search its front or history, of a sweep its curve."""
    order = ("optuna_pareto", "optuna_history", "accuracy_by_latent_size", "accuracy_by_kl_weight", "accuracy_by_")
    return next((rank for rank, start in enumerate(order) if figure.name.startswith(start)), len(order))


def _summary(study: Study, judgements: Sequence[Judgement]) -> list[Block]:
    counts = study.trials["status"].value_counts()
    parts = [f"{count} {status}" for status, count in counts.items()]
    blocks: list[Block] = [Answers(study.question, answer.answers(study, judgements))]
    if is_quick(study.trials):
        blocks.insert(0, Paragraph(QUICK, strong=True))
    if "running" in counts.index:
        text = "The study has not ended: the numbers below are of the finished trials."
        blocks.insert(0, Paragraph(text, strong=True))
    if study.finished.empty:
        blocks.append(Paragraph("No trial has finished.", strong=True))
    return [*blocks, Paragraph(f"{counted(len(study), 'trial')}: {', '.join(parts)}. {described(study.trials)}")]


def _sentences(rows: Sequence[Judgement], *, tested: bool) -> list[Block]:
    """Of the claims that are `tested`, or of the others with the reason of each."""
    parts = [row.sentence.partition(": ") for row in rows if (row.verdict != "not tested") == tested]
    return [Paragraph(rest, lead=f"{verdict}:") for verdict, _, rest in parts]


def _provenance(study: Study) -> list[Block]:
    trials = study.trials
    blocks: list[Block] = [Paragraph(f"{study.hours:.2f} hours inside trials, added up over all slots.")]
    names = ["device_name", "device", "threads", "platform", "python", "torch", "scikit_learn", "commit", "data_source"]
    known = trials[trials["device"].notna()]
    if not known.empty:
        groups = known.groupby(names, dropna=False, sort=False).size().rename("trials").reset_index()
        texts = groups.map(lambda value: None if pd.isna(value) else str(value))
        texts.columns = [name.replace("_", " ") for name in texts.columns]
        blocks.append(Table("Hardware and versions", (("", texts, ["threads", "trials"]),)))
    return blocks


def _trials(study: Study) -> list[Block]:
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
    blocks: list[Block] = [Table("Trials", (("", texts, ["seed", "base", "augmented"]),))]
    if len(trials) > len(shown):
        rest = f"The first {len(shown)} of {len(trials)} trials; all of them are in trials.csv."
        blocks.insert(0, Paragraph(rest, strong=True))
    blocks.append(Paragraph("Each trial alone, by its key; the same numbers come out on the same type of device:"))
    return [*blocks, Code("\n".join(command_of(study, key) for key in shown["key"]))]


def _accuracy(value: float) -> str | None:
    return None if pd.isna(value) else percent(value, 2)
