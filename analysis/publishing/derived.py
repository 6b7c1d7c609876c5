"""The files of a published copy that follow from its records: `publish` writes them, `verify` makes them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import formats, tables
from analysis.frames.study import Study
from analysis.publishing import cards, checklists, citation, cost, crate

ABOUT = "about.json"
# The code and hardware that computed the numbers; a machine's name means nothing to others.
_ORIGIN = (
    *("device", "device_name", "threads", "kernels"),
    *("python", "torch", "torchvision", "numpy", "scikit_learn", "commit"),
)


def of(study: Study, command: str) -> dict[Path, str]:
    """The content of each file by its path in the copy, but for the RO-Crate's; command: what ran the study."""
    made = {
        Path("trials.csv"): formats.csv(study.trials.drop(columns="study")),
        Path("epochs.csv"): formats.csv(study.epochs.drop(columns="study")),
    }
    for table in tables.all_of(study)[0]:
        made[Path("tables") / f"{table.name}.csv"] = formats.csv(table.frame)
        made[Path("tables") / f"{table.name}.md"] = table.table.markdown()
    about = {"command": command, **origin(study)}
    made[Path(ABOUT)] = json.dumps(about, indent=1) + "\n"
    made[Path("compute.md")] = cost.markdown(study)
    made[Path("checklists.md")] = checklists.of(study, command)
    made[Path("CITATION.cff")] = citation.of(study)
    return made | cards.of(study)


def described(folder: Path, study: Study, command: str) -> dict[Path, str]:
    """The RO-Crate's file, which lists all others that are in the copy `folder`."""
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} - {Path(crate.NAME)}
    return {Path(crate.NAME): crate.of(study, command, files)}


def origin(study: Study) -> dict[str, Any]:
    """Provenance of the trials: the values of each of its columns, the hours and the dates."""
    known = [name for name in _ORIGIN if name in study.trials]
    found: dict[str, Any] = {name: _values(study.trials[name]) for name in known}
    times = pd.to_datetime(study.trials["finished_at"]).dropna()
    return found | {
        "trials": len(study.trials),
        "hours_in_trials": round(study.hours, 2),
        "first": str(times.min().date()),
        "last": str(times.max().date()),
    }


def _values(column: pd.Series) -> list[str]:
    """Those recorded; that some trials recorded none where others did."""
    values = sorted(column.dropna().astype(str).unique())
    return [*values, *(["not recorded"] if values and column.isna().any() else [])]
