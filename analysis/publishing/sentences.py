"""The sentences of README.md and of analysis/published/README.md that give numbers, made from the records.

`analysis.verify` looks up each of them in its document, and names those that the records no longer give.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from analysis import tables
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.study import Study
from analysis.publishing.study_sentences import FOUND, OF_STUDY, README, Sentence, in_words

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (README, FOUND)
# Studies of which the README shows a table or writes at length; the others have a row in its table each.
AT_LENGTH = ("paper_grid", "paper_reading")
# Tables that a document shows whole: study, table, document.
SHOWN = (
    ("paper_grid", "table1", FOUND),
    ("paper_grid", "verdicts", FOUND),
    ("paper_reading", "readings", FOUND),
    ("invariance", "ingredients", FOUND),
)


def of(study: Study, name: str) -> list[Sentence]:
    """The sentences that the documents must have on the published study `name`."""
    own = OF_STUDY.get(name)
    return [*_of_every(study, name), *(own(study) if own else ())]


def foreign_accuracies(study: Study, name: str, texts: Mapping[Path, str]) -> list[str]:
    """The accuracies in the documents' parts on the study that none of its cells has, each with its document."""
    if name in AT_LENGTH:
        return []
    metrics = [f"{test}_accuracy" for test in TEST_SETS]
    cells = study.cells(metrics)
    known = {f"{100 * value:.1f}" for metric in metrics for value in cells[metric]}
    places = {FOUND: section(texts[FOUND], name), README: row(texts[README], name)}
    return [
        f"{document}: {value}" for document, text in places.items() for value in _accuracies(text) if value not in known
    ]


def section(found: str, name: str) -> str:
    """The section of analysis/published/README.md on a study; "" where there is none."""
    match = re.search(rf"^## `{name}`\n(.*?)(?=^## |\Z)", found, re.MULTILINE | re.DOTALL)
    return match[1] if match else ""


def row(readme: str, name: str) -> str:
    """The study's row in the README's table of studies; "" where there is none."""
    match = re.search(rf"^\| `{name}` \|.*\|$", readme.partition("## Beyond the paper")[2], re.MULTILINE)
    return match[0] if match else ""


def _accuracies(text: str) -> list[str]:
    """The accuracies in pairs, base / augmented in %."""
    return sorted(set(re.findall(r"\b\d\d\.\d(?= / )|(?<= / )\d\d\.\d\b", text)))


def _of_every(study: Study, name: str) -> Iterator[Sentence]:
    epochs = study.trials["epochs"].max()
    seeds = study.trials["seed"].nunique()
    yield Sentence(FOUND, f"{len(study)} trials of {epochs:.0f} epochs, {in_words(seeds)} seed{'s' * (seeds > 1)}")
    if name not in AT_LENGTH:
        yield Sentence(README, f"| `{name}` | {epochs:.0f} |")
    made = {table.name: table.table.markdown() for table in tables.all_of(study)[0]}
    for owner, table, document in SHOWN:
        if owner == name and table in made:
            yield Sentence(document, made[table])
