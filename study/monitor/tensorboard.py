"""TensorBoard's logs of a study: a folder for each trial, named by its key."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from study.jobs import Job

FOLDER = "tensorboard"
# Until an epoch can be seen.
FLUSH_SECONDS = 10
# Of an epoch's row, what is no figure of the model.
_NOT_SHOWN = {"epoch", "step", "wall_seconds"}


class TensorBoard:
    """Writes each epoch as it is told, and the final figures; step: the epoch.

    An interrupted trial goes on in the same folder; as it ends, its folder is written anew from its record, so that no
    epoch is missing there or shown twice.
    """

    def __init__(self, study: Path):
        self._folder = study / FOLDER
        self._live: dict[str, SummaryWriter] = {}
        # Epochs that a trial's live file holds, from the first on; -1 where some are missing in it.
        self._written: dict[str, int] = {}

    def reported(self, job: Job, row: dict[str, Any]) -> None:
        """Writes the figures of an epoch."""
        epoch = int(row["epoch"])
        if job.key not in self._live:
            if epoch == 1:
                shutil.rmtree(self._folder / job.key, ignore_errors=True)
            self._live[job.key] = _writer(self._folder / job.key)
            self._written[job.key] = 0
        self._written[job.key] = epoch if epoch == self._written[job.key] + 1 else -1
        _write_row(self._live[job.key], row)

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """Writes the final figures, and all epochs anew where they are not all there once."""
        writer = self._live.pop(job.key, None)
        if writer is None or self._written.pop(job.key) != len(record["epochs"]):
            if writer is not None:
                writer.close()
            shutil.rmtree(self._folder / job.key, ignore_errors=True)
            writer = _writer(self._folder / job.key)
            for row in record["epochs"]:
                _write_row(writer, row)
        last = len(record["epochs"])
        for name, value in _figures(record["metrics"]).items():
            writer.add_scalar(f"final/{name}", value, last)
        writer.add_text("config", json.dumps(record["config"]), last)
        writer.close()

    def close(self) -> None:
        """Closes the files of trials that have not ended."""
        for writer in self._live.values():
            writer.close()
        self._live.clear()


def _writer(folder: Path) -> SummaryWriter:
    # Files are named by the second, and read in the order of their names.
    return SummaryWriter(str(folder), flush_secs=FLUSH_SECONDS, filename_suffix=f".{time.time_ns()}")


def _figures(row: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if isinstance(value, int | float)}


def _write_row(writer: SummaryWriter, row: dict[str, Any]) -> None:
    for name, value in _figures(row).items():
        if name not in _NOT_SHOWN:
            writer.add_scalar(f"epoch/{name}", value, int(row["epoch"]))
