"""TensorBoard's logs of a study: a folder for each trial, named by its cell, seed and key."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import hparams, text

from study.jobs import Job
from study.monitor import event_file
from study.monitor.event_file import EventFile
from study.monitor.progress import label
from study.monitor.tags import numbers, tagged

FOLDER = "tensorboard"
# Of a folder's name.
MOST_LETTERS = 100
# What has a chart; TensorBoard shows this group first.
_ACCURACIES = [f"{part}{name}_accuracy" for part in ("", "validation_") for name in ("base", "augmented")]


class TensorBoard:
    """Writes epochs as they are reported, and the final metrics; step: the epoch.

    An interrupted trial goes on in the same folder; as it ends, its folder is written anew from its record, so that no
    epoch is missing there or shown twice.
    """

    def __init__(self, study: Path):
        self._folder = study / FOLDER
        self._live: dict[str, EventFile] = {}
        # Epochs that a trial's live file holds, from the first on; -1 where some are missing in it.
        self._written: dict[str, int] = {}

    def reported(self, job: Job, rows: Sequence[dict[str, Any]]) -> None:
        """Writes the metrics of these epochs."""
        if job.key not in self._live:
            if rows[0]["epoch"] == 1:
                shutil.rmtree(self._place(job), ignore_errors=True)
            self._live[job.key] = EventFile(self._place(job))
            self._written[job.key] = 0
        for row in rows:
            epoch = int(row["epoch"])
            self._written[job.key] = epoch if epoch == self._written[job.key] + 1 else -1
        self._live[job.key].write(*(_of_row(job, row) for row in rows))

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """Writes the final metrics, and all epochs anew where they are not all there once."""
        file, last = self._live.pop(job.key, None), len(record["epochs"])
        events: list[Event] = []
        if file is None or self._written.pop(job.key) != last:
            shutil.rmtree(self._place(job), ignore_errors=True)
            file = EventFile(self._place(job))
            events += [_of_row(job, row) for row in record["epochs"]]
        # The others are one number a trial, for which TensorBoard would draw eighty charts of a point.
        metrics = numbers(record["metrics"])
        accuracies = {f"accuracy/{name}": metrics[name] for name in _ACCURACIES if name in metrics}
        texts = [text("config", _table(record["config"])), text("metrics", _table(record["metrics"]))]
        events += [event_file.scalars(accuracies, last), *(event_file.of_summary(one, last) for one in texts)]
        file.write(*events, *(_settings(record) if job.job_type == "trial" else ()))

    def close(self) -> None:
        """Nothing is left to write."""

    def _place(self, job: Job) -> Path:
        """Its folder, whose name is what TensorBoard shows: words first, and the key, so that no two are alike."""
        words = re.sub(r"[^A-Za-z0-9.-]+", "_", label(job))[:MOST_LETTERS].strip("_")
        return self._folder / f"{words}_{job.key}"


def _table(values: dict[str, Any]) -> str:
    """What is set of `values`, as a table in Markdown."""
    lines = [f"| {name} | {json.dumps(value)} |" for name, value in values.items() if value is not None]
    return "\n".join(["| name | value |", "| --- | --- |", *lines])


def _of_row(job: Job, row: dict[str, Any]) -> Event:
    return event_file.scalars(tagged(job, row), int(row["epoch"]))


def _settings(record: dict[str, Any]) -> list[Event]:
    """What the HParams tab shows a trial's settings by, beside the scalars of the same file.

    Without an experiment of their own, of which TensorBoard takes the first trial's for all: from the trials alone it
    finds every setting, and shows those first that differ.
    """
    settings = {
        name: value if isinstance(value, int | float | str) else str(value)
        for name, value in record["config"].items()
        if value is not None
    }
    _, start, end = hparams(settings, {})
    return [event_file.of_summary(summary) for summary in (start, end)]
