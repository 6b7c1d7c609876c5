"""Recording of ended jobs: records, dataframes, loggers, and the result for a search."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from study.jobs import Job
from study.storage.folder import Frames
from study.storage.mirror import Mirror
from study.storage.remote import Storage
from tivae import records
from tivae.config import TrialConfig
from tivae.io.record import RECORD


class Logger(Protocol):
    """Writes metrics for a tool to show, in this process."""

    def reported(self, job: Job, rows: Sequence[dict[str, Any]]) -> None:
        """Epochs have ended, in this order."""

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """The job has ended with this record."""

    def close(self) -> None:
        """Writes what is not written yet."""


class Recorder:
    """Brings the results of ended jobs to the folder `study` and hands them on.

    Every trial that ends has a record there, and on the storage: its worker's, or one with the reason why there is
    none. tell: called with each trial that has ended, and how.
    """

    def __init__(
        self,
        study: Path,
        storage: Storage,
        frames: Frames,
        loggers: Sequence[Logger] = (),
        tell: Callable[[TrialConfig, dict[str, Any]], None] | None = None,
    ):
        self._study, self._storage, self._frames = study, storage, frames
        self._loggers, self._tell = loggers, tell
        self.mirror = Mirror(storage, study)

    def reported(self, job: Job, rows: Sequence[dict[str, Any]]) -> None:
        """Epochs have ended, in this order."""
        for logger in self._loggers:
            logger.reported(job, rows)

    def ended(self, job: Job, result: dict[str, Any], *, is_recorded: bool) -> None:
        """A job has ended with `result` (status, error, metrics); is_recorded: whether its worker has written that."""
        part = job.part
        self.mirror.bring(part)
        if job.job_type == "trial" and not is_recorded:
            # What it left of epochs belongs to its record.
            self.mirror.bring(job.makes)
            self.mirror.finish()
            status = "pruned" if result["status"] == "pruned" else "failed"
            # A worker may have died after this one of its trials, or reading out again what had finished.
            if records.finished(self._study / part) is None:
                # Where something else lies in the place of its folder, its reason says so: the others go on.
                with contextlib.suppress(FileExistsError, NotADirectoryError):
                    records.write_unfinished(job.config, self._study, status, result["error"])
                    self.mirror.send(part, RECORD)
        if self._loggers:
            self.mirror.finish()
            record = records.read(self._study / part)
            for logger in self._loggers if record is not None else ():
                logger.ended(job, record or {})
        if job.job_type == "trial" and self._tell is not None:
            self._tell(job.config, result)
        self._frames.update()

    def close(self) -> None:
        """Waits until everything is here. Raises `StorageError` where something can't be brought."""
        for logger in self._loggers:
            logger.close()
        self.mirror.finish()
        self.mirror.bring_all()
