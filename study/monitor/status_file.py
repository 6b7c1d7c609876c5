"""The status file of a run, through which other processes follow it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from study.monitor.progress import Progress, Score, in_words, label
from tivae import records
from tivae.io import files

NAME = "status.json"
# Seconds between two writes while a study runs; more where, with a thousand slots, they would take a larger share.
INTERVAL, SHARE = 2.0, 0.01


class StatusFile:
    """Writes `progress` to `study`/status.json; clock: seconds."""

    def __init__(self, study: Path, progress: Progress, clock: Callable[[], float] = time.monotonic):
        self._path, self._progress, self._clock = study / NAME, progress, clock
        self._written, self._took = -float("inf"), 0.0

    def update(self) -> None:
        """Writes it anew if it has not been for a while."""
        if self._clock() - self._written >= max(INTERVAL, self._took / SHARE):
            self.write("running")
            self._took = self._clock() - self._written

    def write(self, state: str) -> None:
        """Writes it now; state: running, ended or interrupted."""
        self._written = self._clock()
        content = snapshot(self._progress)
        if state != "running":
            content = settled(content, self._path.parent)
        content |= {"state": state, "updated_at": time.time(), "process": os.getpid(), "host": socket.gethostname()}
        with files.replacing(self._path) as file:
            file.write(json.dumps(content).encode())


def read(study: Path) -> dict[str, Any] | None:
    """The status written by the last run; None if it can't be read."""
    try:
        content = json.loads(files.read(study / NAME))
    except (OSError, ValueError, RecursionError):
        return None
    return content if _has_shape(content, _SHAPE) else None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e12


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and value.isalnum()


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


# Of what `StatusFile.write` writes, that which is read: the file may be anybody's.
_SHAPE = {
    **{"state": str, "host": str, "updated_at": _is_number, "elapsed_seconds": _is_number},
    **dict.fromkeys(("trials", "finished", "failed", "pruned", "waiting"), _is_number),
    "seconds_left": lambda value: value is None or _is_number(value),
    "left": lambda value: value is None or isinstance(value, str),
    "best": lambda value: value is None or _has_shape(value, dict.fromkeys(("key", "label", "metric", "value"), str)),
    "running": [{"key": _is_key, "label": str, "device": str, "epochs": _is_number, "row": _is_row}],
    "failures": [{"key": _is_key, "label": str, "error": str}],
}


def _has_shape(value: Any, shape: Any) -> bool:
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(_has_shape(value.get(name), part) for name, part in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(_has_shape(item, shape[0]) for item in value)
    return isinstance(value, shape) if isinstance(shape, type) else bool(shape(value))


def settled(content: dict[str, Any], study: Path) -> dict[str, Any]:
    """The content for a run that has stopped: trials marked as running are counted by their records, or wait."""
    counts = Counter(
        (records.read(records.trial_folder(study, row["key"])) or {}).get("status", "waiting")
        for row in content["running"]
        if row.get("is_trial", True)
    )
    names = ("finished", "failed", "pruned")
    known = {name: content[name] + counts[name] for name in names}
    others = sum(counts.values()) - sum(counts[name] for name in names)
    return content | known | {"waiting": content["waiting"] + others, "running": []}


def best(score: Score, value: float, job: str, key: str) -> dict[str, str]:
    """The best trial so far: its key, its label `job`, and its value."""
    return {"key": key, "label": job, "metric": score.name, "value": score.shown(value)}


def snapshot(progress: Progress) -> dict[str, Any]:
    """The status of a study as plain values."""
    found = progress.best
    return {
        "trials": progress.trials,
        "finished": progress.finished,
        "failed": progress.failed,
        "pruned": progress.pruned,
        "waiting": progress.waiting_trials,
        "elapsed_seconds": progress.elapsed,
        "seconds_left": progress.seconds_left(),
        "left": in_words(progress.seconds_left_between()),
        "best": None if found is None else best(progress.score, found[0], label(found[1]), found[1].key),
        "running": [
            {
                "key": key,
                "is_trial": running.job.job_type == "trial",
                "label": label(running.job),
                "device": running.device,
                "epochs": running.job.epochs,
                "row": {name: value for name, value in running.row.items() if _is_number(value)},
            }
            for key, running in progress.running.items()
        ],
        "failures": [{"key": job.key, "label": label(job), "error": error} for job, error in progress.failures],
    }
