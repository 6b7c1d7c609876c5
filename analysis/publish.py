"""`python -m analysis.publish RESULTS`: what others need to check a study, small enough to be kept beside the code.

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

import analysis
from analysis.frames.search import JOURNAL, journal_of
from analysis.frames.study import QUESTION, Study
from analysis.frames.trial import Trial
from analysis.inference import looks
from analysis.publishing import derived
from analysis.publishing.derived import ABOUT
from tivae.io import files
from tivae.io.redaction import redacted

EXIT_BAD_INPUT = 2
FOLDER = Path(__file__).resolve().parent / "published"
MAXIMUM_BYTES = 10 * 2**20

# All that a copy may hold beside `ABOUT`.
_PARTS = {"trials", "tables", "figures", "trials.csv", "epochs.csv", JOURNAL, QUESTION, looks.FILE}


def publish(results: Path, command: str, figures: Sequence[str] = (), output: Path | None = None) -> Path:
    """Writes the copy to `output` (analysis/published/NAME by default), in place of an earlier one, and returns it.

    Holds trials.csv, epochs.csv, the tables, `about.json`, the pictures `figures` of the study's report, the journal of
    a search, and of each trial its record, predictions and curves.
    command: what ran the study.

    Raises `ValueError` where no trial has ended, a picture is not in the report, the copy has more than 10 MiB, or
    `output` is anything but an earlier copy or nothing.
    """
    study = analysis.load(results)
    folder = (output if output is not None else FOLDER / results.resolve().name).resolve()
    _check_replaceable(folder, results.resolve())
    pictures = [_picture(results, name) for name in figures]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as workshop:
        made, before = Path(workshop) / "new", Path(workshop) / "before"
        _fill(made, study, command, pictures)
        size = sum(file.stat().st_size for file in made.rglob("*") if file.is_file())
        if size > MAXIMUM_BYTES:
            raise ValueError(f"the copy would have {size / 2**20:.1f} MiB; it may have {MAXIMUM_BYTES // 2**20}")
        if folder.exists():
            folder.rename(before)
        made.rename(folder)
    return folder


def _check_replaceable(folder: Path, results: Path) -> None:
    """Raises `ValueError` where a copy at `folder` would touch the results, or anything but an earlier copy."""
    if folder == results or folder in results.parents or results in folder.parents:
        raise ValueError(f"--output is {folder}, which is, holds or lies in the results {results}; give another folder")
    if not folder.exists():
        return
    try:
        about = json.loads(files.read(folder / ABOUT))
    except (OSError, ValueError):
        about = None
    if not isinstance(about, dict) or "command" not in about:
        raise ValueError(f"{folder} is there and no copy that publish has written; give a folder that is not there yet")
    others = sorted(path.name for path in folder.iterdir() if path.name not in {ABOUT, *_PARTS})
    if others:
        raise ValueError(f"{folder} holds {others[0]}, which publish has not written; move it away first")


def _picture(results: Path, name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"--figures names {name!r}; it must be the name of a picture of the report, without a path")
    picture = results / "report" / "figures" / f"{name}.png"
    if not picture.is_file():
        raise ValueError(f"{picture} is not there; run `python -m analysis.report {results}` first")
    return picture


def _fill(folder: Path, study: Study, command: str, pictures: Sequence[Path]) -> None:
    (folder / "figures").mkdir(parents=True)
    for key in study.trials["key"]:
        _copy_trial(study.trial(key), folder / "trials" / key)
    if (journal := journal_of(study)) is not None:
        _copy(journal, folder)
    if (judged_at := looks.read(study.folders)) is not None:
        looks.write(folder, judged_at)
    (folder / QUESTION).write_text(f"{study.question}\n", encoding="utf-8")
    for picture in pictures:
        _copy(picture, folder / "figures")
    for path, content in derived.of(analysis.load(folder), redacted(command)).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")


def _copy_trial(trial: Trial, folder: Path) -> None:
    from tivae.io import checkpoint, sealed_json

    record = trial.record
    record.pop("digest", None)
    sealed_json.write(folder / "record.json", record | {"provenance": record["provenance"] | {"host": ""}})
    with contextlib.suppress(FileNotFoundError):
        content = checkpoint.load(trial.folder / "predictions.pt")
        checkpoint.save(folder / "predictions.pt", {name: classes.byte() for name, classes in content.items()})
    with contextlib.suppress(FileNotFoundError):
        _copy(trial.folder / "measures.json", folder)


def _copy(file: Path, folder: Path) -> None:
    """Copies the regular file `file`, which may be a stranger's, into `folder`."""
    (folder / file.name).write_bytes(files.read(file, MAXIMUM_BYTES))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code is 0, or 2 where there is nothing to publish or to write to."""
    parser = argparse.ArgumentParser(prog="python -m analysis.publish", description="Publish a study's results.")
    parser.add_argument("results", type=Path, help="a results folder, such as results/paper_grid")
    parser.add_argument("--command", required=True, help="the command that ran the study")
    parser.add_argument("--figures", nargs="*", default=[], help="pictures of its report to keep, by name")
    parser.add_argument("--output", type=Path, help="default: analysis/published/NAME")
    options = parser.parse_args(arguments)
    try:
        print(publish(options.results, options.command, options.figures, options.output))
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
