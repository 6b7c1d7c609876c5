"""`python -m analysis.publish RESULTS`: a copy of a study that others can check, small enough for the repository.

The copy is a results folder without weights and encodings, so that `analysis.load` and everything built on it give
the same tables and verdicts from it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import analysis
from analysis.command_line import command_line
from analysis.frames.search import JOURNAL, journal_of
from analysis.frames.study import QUESTION, SCHEDULE, Study
from analysis.frames.trial import Trial
from analysis.inference import interim
from analysis.publishing import cards, crate, derived, stn_records, test_set
from analysis.publishing.derived import ABOUT
from tivae.config import TrialConfig
from tivae.data.loading import load
from tivae.io import checkpoint, files, packed, sealed_json
from tivae.io.redaction import redacted

FOLDER = Path(__file__).resolve().parent / "published"
# Of one file, and of all copies that lie beside each other.
MAXIMUM_BYTES = 20 * 2**20

# All that a copy may hold beside `ABOUT`.
_PARTS = {
    *("trials", "tables", "figures", "trials.csv", "epochs.csv", "compute.md", "checklists.md", "CITATION.cff"),
    *(JOURNAL, QUESTION, stn_records.FOLDER, cards.FOLDER, crate.NAME, packed.LABELS, SCHEDULE),
}


def publish(results: Path, command: str, figures: Sequence[str] = (), output: Path | None = None) -> Path:
    """Writes the copy to `output` (analysis/published/NAME by default), in place of an earlier one, and returns it.

    Holds of each trial its record, predictions and curves, and the records of STNs; the journal of
    a search, the pictures `figures` of the study's report; and what is made from these: trials.csv,
    epochs.csv, the tables, `about.json`, compute.md, checklists.md, CITATION.cff, model cards and an RO-Crate.
    command: what ran the study.

    Raises `ValueError` where no trial has ended, a picture is not in the report, the copies there would have more than
    20 MiB, or `output` is anything but an earlier copy or nothing.
    """
    study = analysis.load(results)
    folder = (output if output is not None else FOLDER / results.resolve().name).resolve()
    _check_replaceable(folder, results.resolve())
    pictures = [_picture(results, name) for name in figures]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as workshop:
        made, before = Path(workshop) / "new" / folder.name, Path(workshop) / "before"
        _fill(made, study, command, pictures)
        beside = [path for path in folder.parent.iterdir() if path != folder and (path / ABOUT).is_file()]
        size, others = _size(made), sum(map(_size, beside))
        if size + others > MAXIMUM_BYTES:
            raise ValueError(
                f"the copy would have {size / 2**20:.1f} MiB, beside {others / 2**20:.1f} MiB of others; together they "
                f"may have {MAXIMUM_BYTES // 2**20}"
            )
        if folder.exists():
            folder.rename(before)
        made.rename(folder)
    return folder


def _check_replaceable(folder: Path, results: Path) -> None:
    """Raises `ValueError` where a copy at `folder` would touch the results, or anything but an earlier copy."""
    if folder == results or folder in results.parents or results in folder.parents:
        raise ValueError(f"--output is {folder}, which overlaps the results folder {results}; give another folder")
    if not folder.exists():
        return
    try:
        about = json.loads(files.read(folder / ABOUT))
    except (OSError, ValueError):
        about = None
    if not isinstance(about, dict) or "command" not in about:
        raise ValueError(f"{folder} exists and was not written by publish; give a folder that does not exist yet")
    others = sorted(_unknown(folder))
    if others:
        raise ValueError(f"{folder} holds {others[0]}, which publish has not written; move it away first")


def _unknown(folder: Path) -> set[str]:
    """The files in a copy that are not in its own list; an older copy has none, and is checked by name."""
    others = {path.name for path in folder.iterdir() if path.name not in {ABOUT, *_PARTS}}
    try:
        listed = crate.files_of(files.read(folder / crate.NAME).decode())
    except (OSError, ValueError):
        return others
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return others | (there - listed - {crate.NAME})


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _picture(results: Path, name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"--figures names {name!r}; it must be the name of a picture of the report, without a path")
    picture = results / "report" / "figures" / f"{name}.png"
    if not picture.is_file():
        raise ValueError(f"{picture} is not there; run `python -m analysis.report {results}` first")
    return picture


def _fill(folder: Path, study: Study, command: str, pictures: Sequence[Path]) -> None:
    (folder / "figures").mkdir(parents=True)
    labels: dict[str, Any] = {}
    for key in study.trials["key"]:
        labels |= _copy_trial(study.trial(key), folder / "trials" / key)
    if labels:
        checkpoint.save(folder / packed.LABELS, labels)
    if (journal := journal_of(study)) is not None:
        _copy(journal, folder)
    if (judged_at := interim.read(study.folders)) is not None:
        interim.write(folder, judged_at)
    (folder / QUESTION).write_text(f"{study.question}\n", encoding="utf-8")
    for picture in pictures:
        _copy(picture, folder / "figures")
    stn_records.copy(study, folder)
    copied, shown = analysis.load(folder), redacted(command)
    for path, content in derived.of(copied, shown).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    # Last, as it lists the others.
    for path, content in derived.described(folder, copied, shown).items():
        (folder / path).write_text(content, encoding="utf-8")


def _copy_trial(trial: Trial, folder: Path) -> dict[str, Any]:
    """Copies what is published of a trial; returns the labels that its predictions name."""
    labels: dict[str, Any] = {}
    record = trial.record
    record.pop("digest", None)
    record["config"] = stn_records.without_place(record["config"])
    sealed_json.write(folder / "record.json", record | {"provenance": record["provenance"] | {"host": ""}})
    with contextlib.suppress(FileNotFoundError):
        whole = packed.unpacked(checkpoint.load(trial.folder / "predictions.pt"), trial.results)
        content, labels = packed.pack(dict(whole))
        checkpoint.save(folder / "predictions.pt", content)
    with contextlib.suppress(FileNotFoundError):
        _copy(trial.folder / "measures.json", folder)
    return labels


def _copy(file: Path, folder: Path) -> None:
    """Copies the regular file `file`, which may be a stranger's, into `folder`."""
    (folder / file.name).write_bytes(files.read(file, MAXIMUM_BYTES))


def _publish_test_set(study: Study, folder: Path) -> Path:
    """Writes the augmented test set of the study's data set, in the paper's warps."""
    if folder.exists() and not (folder / test_set.METADATA).is_file():
        raise ValueError(f"{folder} exists and was not written by publish; move it away first")
    dataset = str(study.finished["dataset"].iloc[0])
    config = TrialConfig(dataset=dataset)
    test_set.write(config, load(config.images), folder)
    return folder


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code is 0, or 2 where there is nothing to publish or to write to."""
    parser = argparse.ArgumentParser(prog="python -m analysis.publish", description="Publish a study's results.")
    parser.add_argument("results", type=Path, help="a results folder, such as results/paper_grid")
    parser.add_argument("--command", required=True, help="the command that ran the study")
    parser.add_argument("--figures", nargs="*", default=[], help="pictures of its report to keep, by name")
    parser.add_argument("--output", type=Path, help="default: analysis/published/NAME")
    parser.add_argument("--test-set", action="store_true", help="also write the augmented test set, beside the copy")
    options = parser.parse_args(arguments)
    folder = publish(options.results, options.command, options.figures, options.output)
    print(folder)
    if options.test_set:
        print(_publish_test_set(analysis.load(folder), folder.parent / test_set.FOLDER))
    return 0


if __name__ == "__main__":
    sys.exit(main())
