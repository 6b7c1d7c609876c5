"""`python -m study.status RESULTS`: progress of a study, running or not, from another terminal."""

from __future__ import annotations

import sys

from study import command_line

if __name__ == "__main__":
    # As in `study.run`, before what takes seconds to import.
    command_line.status_parser().parse_args()

import contextlib
import difflib
import fcntl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

import analysis.command_line
from analysis.formats import printable
from analysis.frames.search import load_search, objectives
from study.jobs import Job
from study.monitor import status_file
from study.monitor.display import failures_table, table_of
from study.monitor.progress import Score, duration, label
from study.storage.folder import LOCK
from tivae import records
from tivae.config import ConfigError, TrialConfig
from tivae.io import files
from tivae.io.files import DamagedFile

# A run on another machine, whose lock is not seen here, is taken to be alive when it wrote so lately.
FRESH_SECONDS = 30.0


@analysis.command_line.command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Shows one study; the exit code is 0, or 2 where there is none that can be read."""
    options = command_line.status_parser().parse_args(arguments)
    study = options.results
    files.check_folder(study)
    status = status_now(study)
    if status is None:
        meant = _meant(study)
        remedy = f"did you mean {meant}?" if meant else "give the folder that a run printed"
        raise ValueError(f"{study} is not the folder of a study; {remedy}")
    show(status, Console())
    return 0 if options.serve is None else _serve(study, options.serve)


def _serve(study: Path, port: int) -> int:
    # Matplotlib takes a second to import.
    from study.monitor import serving

    with serving.server(serving.LivePage(study, lambda: status_now(study)), port or serving.PORT) as running:
        print(f"Live page, for this machine only: http://{serving.HOST}:{running.server_port}  (Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):
            running.serve_forever()
    return 0


def status_now(study: Path) -> dict[str, Any] | None:
    """The status that the last run wrote, with `state` in words and, where it has stopped, the trials counted by their
    records; without it what the records say; None if there is no study."""
    status = status_file.read(study)
    if status is None:
        return _from_records(study)
    state = state_of(status, _is_held(study), time.time())
    if not state.startswith("running"):
        status = status_file.settled(status, study)
    return status | {"state": state}


def show(status: dict[str, Any], console: Console) -> None:
    """Prints the counts, what runs, what failed and the best so far, of `status_now`."""

    def line(text: str) -> None:
        console.print(printable(text), highlight=False, markup=False, soft_wrap=True)

    state = status["state"]
    counts = [f"{status['finished']}/{status['trials']} trials done"]
    counts += [f"{status[name]} {name}" for name in ("waiting", "pruned", "failed") if status.get(name)]
    if state.startswith("running"):
        counts.insert(1, f"{len(status['running'])} running")
        counts += [f"{duration(status['elapsed_seconds'])} so far", f"{status.get('left') or '?'} left"]
    line(f"{state}: {', '.join(counts)}")
    if status["running"] and state.startswith("running"):
        rows = status["running"]
        cells = ((row["key"], row["label"], row["device"], row["epochs"], row["row"]) for row in rows)
        console.print(table_of(cells, console.width))
    if status["failures"]:
        console.print(failures_table((row["key"], row["label"], row["error"]) for row in status["failures"]))
    if status["best"]:
        best = status["best"]
        line(f"best so far: {best['key']} {best['label']}, {best['metric']} {best['value']}")


def state_of(status: dict[str, Any], is_held: bool, now: float) -> str:
    """The state in words, by what a run wrote last and whether one holds the folder."""
    if status["state"] != "running":
        return str(status["state"])
    age = now - status["updated_at"]
    if is_held or age < FRESH_SECONDS:
        return f"running on {status['host']}" + (f", last heard of {duration(age)} ago" if age > FRESH_SECONDS else "")
    return "stopped without a word; the same command continues"


def _from_records(study: Path) -> dict[str, Any] | None:
    """The status by the records alone: of an older run, or a copy without its status file."""
    folders = sorted(path for path in (study / "trials").glob("*") if path.is_dir())
    if not folders:
        return None
    found = {folder.name: records.read(folder) for folder in folders}
    ended = {key: record for key, record in found.items() if record is not None}
    failed = {key: record for key, record in ended.items() if record["status"] == "failed"}
    finished = {key: record for key, record in ended.items() if record["status"] == "finished"}
    score = _score(study)
    values = {key: record["metrics"].get(score.metric) for key, record in finished.items()}
    numbers = {key: value for key, value in values.items() if isinstance(value, int | float)}
    known = {key: value if score.is_maximized else -value for key, value in numbers.items()}
    first = max(known, key=lambda key: known[key], default=None)
    return {
        "state": "as recorded",
        "trials": len(found),
        "finished": len(finished),
        "failed": len(failed),
        "pruned": sum(record["status"] == "pruned" for record in ended.values()),
        "waiting": len(found) - len(ended),
        "running": [],
        "failures": [{"key": key, "label": _label(record), "error": record["error"]} for key, record in failed.items()],
        "best": None if first is None else status_file.best(score, values[first], _label(ended[first]), first),
    }


def _score(study: Path) -> Score:
    """The score that ranks trials: the objective of a search."""
    try:
        objective = next(iter(objectives(load_search(study)).items()), None)
    except ValueError:
        objective = None
    return Score() if objective is None else Score(*objective)


def _label(record: dict[str, Any]) -> str:
    try:
        return label(Job("trial", TrialConfig.from_dict(record["config"])))
    # A record of another version may hold fields that this one does not know.
    except (ConfigError, TypeError, AttributeError):
        return ""


def _meant(folder: Path) -> Path | None:
    """A study in `folder`, or the one beside it whose name is nearest."""
    inside, beside = (sorted(path.parent for path in place.glob("*/trials")) for place in (folder, folder.parent))
    near = difflib.get_close_matches(folder.name, [path.name for path in beside], n=1)
    return inside[0] if inside else folder.parent / near[0] if near else None


def _is_held(study: Path) -> bool:
    try:
        with files.opened(study / LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, DamagedFile):
        return False
    return False


if __name__ == "__main__":
    sys.exit(main())
