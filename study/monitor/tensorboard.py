"""TensorBoard's logs of a study: a folder for each trial, named by its cell, seed and key."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from study.jobs import Job
from study.monitor.progress import label

FOLDER = "tensorboard"
# Until an epoch can be seen.
FLUSH_SECONDS = 10
# Of a folder's name.
MOST_LETTERS = 100
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
                shutil.rmtree(self._place(job), ignore_errors=True)
            self._live[job.key] = _writer(self._place(job))
            self._written[job.key] = 0
        self._written[job.key] = epoch if epoch == self._written[job.key] + 1 else -1
        _write_row(self._live[job.key], job, row)

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """Writes the final figures, and all epochs anew where they are not all there once."""
        writer = self._live.pop(job.key, None)
        if writer is None or self._written.pop(job.key) != len(record["epochs"]):
            if writer is not None:
                writer.close()
            shutil.rmtree(self._place(job), ignore_errors=True)
            writer = _writer(self._place(job))
            for row in record["epochs"]:
                _write_row(writer, job, row)
        last = len(record["epochs"])
        for name, value in _figures(record["metrics"]).items():
            writer.add_scalar(f"final/{name}", value, last)
        writer.add_text("config", json.dumps(record["config"]), last)
        if job.job_type == "trial":
            _write_settings(writer, record)
        writer.close()

    def close(self) -> None:
        """Closes the files of trials that have not ended."""
        for writer in self._live.values():
            writer.close()
        self._live.clear()

    def _place(self, job: Job) -> Path:
        """Its folder, whose name is what TensorBoard shows: words first, and the key, so that no two are alike."""
        words = re.sub(r"[^A-Za-z0-9.-]+", "_", label(job))[:MOST_LETTERS].strip("_")
        return self._folder / f"{words}_{job.key}"


def _writer(folder: Path) -> SummaryWriter:
    # Files are named by the second, and read in the order of their names.
    return SummaryWriter(str(folder), flush_secs=FLUSH_SECONDS, filename_suffix=f".{time.time_ns()}")


def _figures(row: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if isinstance(value, int | float)}


def _write_row(writer: SummaryWriter, job: Job, row: dict[str, Any]) -> None:
    for name, value in _figures(row).items():
        if name not in _NOT_SHOWN:
            # Weighted losses of the models differ fifty-fold: on one axis those of the VAE would be a line at 0.
            group = f"loss_{job.config.model}" if name.endswith("_loss") else "epoch"
            writer.add_scalar(f"{group}/{name}", value, int(row["epoch"]))


def _write_settings(writer: SummaryWriter, record: dict[str, Any]) -> None:
    """What the tab HParams shows: the settings, and the two accuracies, which are scalars of the same file."""
    settings = {
        name: value if isinstance(value, int | float | str) else str(value)
        for name, value in record["config"].items()
        if value is not None
    }
    accuracies = [f"final/{name}" for name in ("base_accuracy", "augmented_accuracy") if name in record["metrics"]]
    for summary in hparams(settings, dict.fromkeys(accuracies, 0.0)):
        writer.file_writer.add_summary(summary)
