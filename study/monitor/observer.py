"""Driver callbacks for job events."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from study.jobs import Job
from study.monitor.display import Display
from study.monitor.progress import label
from study.storage.recorder import Recorder


class Observer:
    """Counts, shows and records the events of each job.

    tick: called at each step, several times a second.
    """

    def __init__(self, display: Display, recorder: Recorder, tick: Callable[[], None]):
        self.log = display.log
        self._progress, self._display, self._recorder, self._tick = display.progress, display, recorder, tick

    def step(self) -> None:
        """Called at each step of the run."""
        self._display.tick()
        self._tick()

    def resized(self, slots: int) -> None:
        """The number of slots has changed."""
        self._progress.resize(slots)

    def started(self, job: Job, device: str) -> None:
        """A worker has started the job."""
        self._progress.start(job, device)

    def reported(self, job: Job, rows: list[dict[str, Any]]) -> None:
        """Epochs have ended, in this order, with the worker's warnings as their `notices`."""
        for row in rows:
            self._tell(job, row)
            self._progress.report(job, row)
        self._recorder.reported(job, rows)

    def put_back(self, job: Job, reason: str | None = None) -> None:
        """The job goes back to the queue; reason: why it lost its worker, which is logged."""
        self._progress.put_back(job)
        if reason is not None:
            self.log(f"again {job.key} {label(job)}: it continues from its last epoch ({reason})")

    def failed(self, job: Job, reason: str) -> None:
        """The job failed without a record by a worker, or will never run."""
        self.ended(job, {"status": "failed", "error": reason})

    def ended(self, job: Job, result: dict[str, Any]) -> None:
        """The job has ended, and its trials as their records have it or, without records, as the job did.

        result: the worker's last report: `status` (finished, failed or pruned), `error`, `records` where it has written
        any, metrics, and the `notices` that no epoch has told.
        """
        self._tell(job, result)
        found = json.loads(result.get("records", "{}"))
        trials = {key: {**record["metrics"], **record} for key, record in found.items()}
        self._progress.end(job, result, trials)
        for part in job.trials or [job]:
            ended = trials.get(part.key, result)
            self._display.ended(part, ended)
            self._recorder.ended(part, ended, is_recorded=part.key in trials)

    def _tell(self, job: Job, report: dict[str, Any]) -> None:
        for notice in report.pop("notices", ()):
            self.log(f"note {job.key}: {notice}")
