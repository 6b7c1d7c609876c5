"""TensorBoard's logs of a study: a folder for each trial, named by its key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from study.jobs import Job

FOLDER = "tensorboard"
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
        self._first_epoch: dict[str, int] = {}

    def reported(self, job: Job, row: dict[str, Any]) -> None:
        """Writes the figures of an epoch."""
        epoch = int(row["epoch"])
        if job.key not in self._live:
            if epoch == 1:
                shutil.rmtree(self._folder / job.key, ignore_errors=True)
            self._live[job.key] = _writer(self._folder / job.key)
            self._first_epoch[job.key] = epoch
        _write_row(self._live[job.key], _figures(row))
        self._live[job.key].flush()

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """Writes the final figures, and what is missing of the epochs."""
        writer = self._live.pop(job.key, None)
        if writer is None or self._first_epoch.pop(job.key) != 1:
            if writer is not None:
                writer.close()
            shutil.rmtree(self._folder / job.key, ignore_errors=True)
            writer = _writer(self._folder / job.key)
            for row in record["epochs"]:
                _write_row(writer, _figures(row))
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
    return SummaryWriter(str(folder), write_to_disk=True)


def _figures(row: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in row.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def _write_row(writer: SummaryWriter, figures: dict[str, float]) -> None:
    for name, value in figures.items():
        if name not in _NOT_SHOWN and not name.startswith(("time", "trial", "done", "pid", "iterations")):
            writer.add_scalar(f"epoch/{name}", value, int(figures["epoch"]))
