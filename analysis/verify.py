"""`python -m analysis.verify FOLDER...`: checks that all that is published follows from the records.

Tables, verdicts, frames and sentences are made again from a published study's records and compared with what is
published; with `--retrain N` trials are trained again as well and compared with their records.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import analysis
from analysis import tables
from analysis.command_line import command_line
from analysis.figures.drawing.saving import NotSupported
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.study import Study
from analysis.publish import FOLDER as PUBLISHED
from analysis.publishing import agreement, cost, derived, retraining, sentences
from tivae.io import files

EXIT_DIFFERS = 1


@dataclass(frozen=True)
class Item:
    """One thing that was made again; where: what differs, None where it is equal."""

    name: str
    where: str | None = None

    def __str__(self) -> str:
        return f"{'equal' if self.where is None else 'differs':<8}{self.name}" + (
            f": {self.where}" if self.where else ""
        )


def verify(folder: Path) -> Iterator[Item]:
    """Makes all of a published study again from its records. Raises `ValueError` where the folder is none.

    The sentences of README.md and analysis/published/README.md are looked at where the folder lies beside the latter.
    """
    command = _command(folder)
    study = analysis.load(folder)
    yield from _files(folder, derived.of(study, command) | derived.described(folder, study, command))
    yield from _claims(folder, study)
    yield _predictions(study)
    if folder.resolve().parent == PUBLISHED:
        yield from sentences_of(study, folder.resolve().name)


def sentences_of(study: Study, name: str) -> Iterator[Item]:
    """Whether the documents agree with the records of the published study `name`."""
    texts = {document: (sentences.ROOT / document).read_text() for document in sentences.DOCUMENTS}
    for sentence in sentences.of(study, name):
        beginning = " ".join(sentence.words.split()[:8])
        yield Item(
            f"{sentence.document}: {beginning} ...", agreement.missing_words(texts[sentence.document], sentence.words)
        )
    foreign = sentences.foreign_accuracies(study, name, texts)
    yield Item("accuracies that the documents give", f"no cell has {', '.join(foreign)}" if foreign else None)


def retrained(folder: Path, count: int, seed: int, device: str, data: Path | None) -> Iterator[Item]:
    """Trains `count` trials, drawn by `seed`, again. Raises `ValueError` where that can't be done, before it begins."""
    trials = retraining.chosen(analysis.load(folder), count, seed)
    return (Item(f"trial {trial.key}, trained again", retraining.differences(trial, device, data)) for trial in trials)


def _command(folder: Path) -> str:
    try:
        about = json.loads(files.read(folder / derived.ABOUT))
        return str(about["command"])
    except (OSError, ValueError, TypeError, KeyError):
        remedy = (
            f"did you mean {PUBLISHED / folder.name}?" if (PUBLISHED / folder.name).is_dir() else "publish it first"
        )
        raise ValueError(f"{folder} was not written by analysis.publish; {remedy}") from None


def _files(folder: Path, made: dict[Path, str]) -> Iterator[Item]:
    for path, content in sorted(made.items()):
        try:
            published = files.read(folder / path).decode(errors="replace")
        except FileNotFoundError:
            yield Item(str(path), "it is missing")
        else:
            yield Item(str(path), agreement.difference(path.name, published, content))
    for path in sorted((folder / "tables").glob("*")):
        if path.relative_to(folder) not in made:
            yield Item(str(path.relative_to(folder)), "the records give no such table")


def _claims(folder: Path, study: Study) -> Iterator[Item]:
    """Each verdict by itself."""
    try:
        made = tables.verdicts(study).frame.set_index("claim")["verdict"]
    except NotSupported:
        return
    try:
        text = files.read(folder / "tables" / "verdicts.csv").decode()
    except (FileNotFoundError, UnicodeDecodeError):
        text = ""
    published = {row.get("claim"): row.get("verdict") for row in csv.DictReader(text.splitlines())}
    for claim, verdict in made.items():
        old = published.get(str(claim))
        yield Item(f"verdict on {claim}", None if old == verdict else f"{old}; the records give {verdict}")


def _predictions(study: Study) -> Item:
    """Whether the accuracies of the records are those of the published predictions."""
    name, count = "accuracies of the records, from the predictions", 0
    for _, row in study.finished.iterrows():
        trial = study.trial(row["key"])
        if not (trial.folder / "predictions.pt").exists():
            continue
        predictions = trial.predictions()
        for test in TEST_SETS:
            found = float((predictions[test] == predictions["label"]).mean())
            # Recorded as a mean in single or double precision.
            if abs(found - row[f"{test}_accuracy"]) > 1e-6:
                return Item(name, f"{trial.key} has {test}_accuracy {row[f'{test}_accuracy']}; its predictions {found}")
        count += 1
    return Item(f"{name} of {count} trials")


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code is 0 where all is equal, 1 where something differs, 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.verify", description="Check that all that is published follows from the records."
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="such as analysis/published/paper_grid")
    parser.add_argument(
        "--retrain", type=int, metavar="N", help=f"train N trials again; compared are {retraining.COMPARED}"
    )
    parser.add_argument("--seed", type=int, default=0, help="which trials are trained again; default: 0")
    parser.add_argument("--device", default="cpu", help="for --retrain; default: cpu")
    parser.add_argument("--data", type=Path, help="folder with the data set's files; default: found or fetched")
    options = parser.parse_args(arguments)
    counts = {"equal": 0, "differs": 0}
    for folder in options.folders:
        for item in _all_of(folder, options):
            counts["equal" if item.where is None else "differs"] += 1
            print(item, flush=True)
    if len(options.folders) > 1:
        print(cost.table([analysis.load(folder) for folder in options.folders]).text())
    print(f"{counts['equal']} equal, {counts['differs']} differ")
    return EXIT_DIFFERS if counts["differs"] else 0


def _all_of(folder: Path, options: argparse.Namespace) -> Iterator[Item]:
    _command(folder)
    again: Iterator[Item] = iter(())
    if options.retrain is not None:
        again = retrained(folder, options.retrain, options.seed, options.device, options.data)
    yield from verify(folder)
    yield from again


if __name__ == "__main__":
    sys.exit(main())
