"""`python -m analysis.publish RESULTS`: what others need to check a study, small enough to be kept beside the code.

The copy is a results folder without weights and encodings, so that `analysis.load` and everything built on it give
the same tables and verdicts from it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import analysis
from analysis import formats, tables
from analysis.frames.search import journal_of
from analysis.frames.study import Study
from analysis.frames.trial import Trial
from analysis.reprobe import FOLDER as REPROBED

EXIT_BAD_INPUT = 2
FOLDER = Path(__file__).resolve().parent / "published"
MAXIMUM_BYTES = 10 * 2**20

# What says with which code and where figures were computed; a machine's name says nothing to others.
_ORIGIN = (
    *("device", "device_name", "threads", "kernels"),
    *("python", "torch", "torchvision", "numpy", "scikit_learn", "commit"),
)


def publish(results: Path, command: str, figures: Sequence[str] = (), output: Path | None = None) -> Path:
    """Writes the copy to `output` (analysis/published/NAME by default), in place of an earlier one, and returns it.

    Holds trials.csv, epochs.csv, the tables, `about.json`, the pictures `figures` of the study's report, what
    `analysis.reprobe` found, the journal of a search, and of each trial its record, predictions and curves.
    command: what ran the study.

    Raises `ValueError` where no trial has ended, a picture is not in the report, or the copy has more than 10 MiB.
    """
    study = analysis.load(results)
    folder = output if output is not None else FOLDER / results.resolve().name
    pictures = [results / "report" / "figures" / f"{name}.png" for name in figures]
    for picture in pictures:
        if not picture.is_file():
            raise ValueError(f"{picture} is not there; run `python -m analysis.report {results}` first")
    workshop = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(workshop, ignore_errors=True)
    try:
        _fill(workshop, study, command, pictures)
        size = sum(file.stat().st_size for file in workshop.rglob("*") if file.is_file())
        if size > MAXIMUM_BYTES:
            raise ValueError(f"the copy would have {size / 2**20:.1f} MiB; it may have {MAXIMUM_BYTES // 2**20}")
        shutil.rmtree(folder, ignore_errors=True)
        workshop.rename(folder)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return folder


def origin(study: Study) -> dict[str, Any]:
    """With what the trials were computed: the values of each column of provenance, and hours and dates in all."""
    known = [name for name in _ORIGIN if name in study.trials]
    found: dict[str, Any] = {name: sorted(study.trials[name].dropna().astype(str).unique()) for name in known}
    times = pd.to_datetime(study.trials["finished_at"]).dropna()
    return found | {
        "trials": len(study.trials),
        "hours_in_trials": round(float(study.trials["wall_seconds"].sum()) / 3600, 2),
        "first": str(times.min().date()),
        "last": str(times.max().date()),
    }


def _fill(folder: Path, study: Study, command: str, pictures: Sequence[Path]) -> None:
    (folder / "figures").mkdir(parents=True)
    for key in study.trials["key"]:
        _copy_trial(study.trial(key), folder / "trials" / key)
    for other in (path for results in study.folders.values() for path in sorted((results / REPROBED).glob("*.csv"))):
        (folder / REPROBED).mkdir(exist_ok=True)
        shutil.copy(other, folder / REPROBED / other.name)
    if (journal := journal_of(study)) is not None:
        shutil.copy(journal, folder / journal.name)
    copied = analysis.load(folder)
    (folder / "trials.csv").write_text(formats.csv(copied.trials.drop(columns="study")))
    (folder / "epochs.csv").write_text(formats.csv(copied.epochs.drop(columns="study")))
    for table in tables.all_of(copied)[0]:
        for kind, path in table.write(folder / "tables").items():
            if kind == "tex":
                path.unlink()
    for picture in pictures:
        shutil.copy(picture, folder / "figures" / picture.name)
    about = {"command": command, **origin(study)}
    (folder / "about.json").write_text(json.dumps(about, indent=1) + "\n")


def _copy_trial(trial: Trial, folder: Path) -> None:
    from tivae.io import checkpoint, sealed_json

    record = trial.record
    record.pop("digest", None)
    sealed_json.write(folder / "record.json", record | {"provenance": record["provenance"] | {"host": ""}})
    if (trial.folder / "predictions.pt").exists():
        content = checkpoint.load(trial.folder / "predictions.pt")
        checkpoint.save(folder / "predictions.pt", {name: classes.byte() for name, classes in content.items()})
    if (trial.folder / "measures.json").exists():
        shutil.copy(trial.folder / "measures.json", folder / "measures.json")


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
