"""Execution of one job in a worker process, under Ray Tune."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
import torch
from ray import tune

from study.jobs import Job
from study.storage.remote import Storage
from tivae import device_support, records, registry, stages
from tivae.evaluation.intermediate import METRICS
from tivae.evaluation.measures import chosen
from tivae.io.record import CHECKPOINT, Record
from tivae.stages import Wanted, Workspace
from tivae.training import heap
from tivae.training.loop import EpochRow

STDERR = 2

# The metrics of an epoch that the driver shows.
REPORTED = (
    *("epoch", "wall_seconds", "images_per_second"),
    *("train_loss", "train_alignment_loss", "base_loss", "augmented_loss"),
)


@dataclass(frozen=True, kw_only=True)
class Supplies:
    """Arguments of workers besides their jobs.

    data: the `Images` of each data set, in Ray's object store, of which only a job's come to its node. storage: where
    records and checkpoints are left. wanted: what is computed of trials beyond their configs. time_limit:
    seconds from one epoch or trial to the next, after which a worker ends itself.
    """

    data: Mapping[str, ray.ObjectRef[Any]]
    storage: Storage
    wanted: Wanted = field(default_factory=Wanted)
    time_limit: float | None = None


def work(config: dict[str, Any], *, supplies: Supplies) -> None:
    """Runs one job, reporting each epoch; its records and checkpoints are left on the storage.

    config: `job` (`Job.to_text`) and `pool` (device, threads), as the dispatcher makes it; `intermediate`: the metric
    that a search prunes by, to be reported of every epoch, or None; `report_seconds`: see `Reports`.

    What the device lacks is reported as the status `unsupported`, and nothing is recorded.

    Raises what a full or broken device raises: Tune then replaces this process, and the job is given out again.
    """
    with _watched(supplies.time_limit) as alive:
        try:
            _prepare(config["pool"]["threads"])
            tune.report(_Task(config, supplies, alive).outcome())
        finally:
            # Until its next job the process would keep it from the others on the device.
            device_support.release(config["pool"]["device"])


class _Task:
    """The job of `config` on its way through this process; alive: to be called as it makes progress."""

    def __init__(self, config: dict[str, Any], supplies: Supplies, alive: Callable[[], None]):
        self._began = time.perf_counter()
        self._job, self._device = Job.from_text(config["job"]), config["pool"]["device"]
        self._intermediate = config.get("intermediate")
        self._supplies, self._alive = supplies, alive
        self._reports = Reports(config["report_seconds"])
        self._notices: list[str] = []

    def outcome(self) -> dict[str, Any]:
        """Computes it; the last report. Raises what another process or another time may not meet."""
        job, measures = self._job, self._supplies.wanted.measures
        with registry.importing():
            chosen(measures)
        is_stn = job.job_type == "stn"
        lacking = device_support.missing(job.config, self._device, pretraining=is_stn, measures=measures)
        if lacking is not None:
            return {"status": "unsupported", "error": lacking}
        try:
            found = self._records()
        except (FileExistsError, NotADirectoryError) as error:
            # Of this job's folder alone: something else lies in its place.
            why = f"{records.reason(error)}; remove what lies in the place of a folder"
            return self._last({"status": "failed", "error": why})
        except OSError:
            # Nothing could be written: Tune must know, or the job would count as done.
            raise
        except Exception as error:
            if device_support.is_to_blame(self._device, error):
                raise
            # An STN's failure is reported, not raised: Tune would run the same bug again.
            return self._last({"status": "failed", "error": records.reason(error)})
        # As text: Tune would keep statistics of each number.
        reported = {record["key"]: {name: record[name] for name in ("status", "error", "metrics")} for record in found}
        done = {"status": "finished", "error": None, "records": json.dumps(reported)}
        return self._last(done | {"busy_seconds": time.perf_counter() - self._began})

    def _last(self, done: dict[str, Any]) -> dict[str, Any]:
        """The last report, with the warnings that no epoch has told."""
        return self._reports.last(done | {"notices": self._notices})

    def _records(self) -> list[Record]:
        """The records of the job's STN or trials, which are on the storage when this returns."""
        job, supplies, name = self._job, self._supplies, self._intermediate
        with supplies.storage.at_hand(*job.parts) as (study, send), _noted() as notices:
            self._notices = notices
            workspace = Workspace(ray.get(supplies.data[job.config.dataset]), self._device, study)

            def send_early(*names: str) -> None:
                try:
                    send(*names)
                except OSError as error:
                    # The next may pass; a result is worth more than a checkpoint.
                    logging.getLogger("tivae").warning("what is done could not be sent yet (%s)", error)

            def read_out(_: Record) -> None:
                send_early()
                self._alive()

            def epoch(row: EpochRow) -> None:
                states = [path.name for part in job.parts for path in (study / part).glob("epoch-*.pt")]
                send_early(*states, CHECKPOINT)
                shown = {column: row[column] for column in (*REPORTED, name) if column in row}
                if (report := self._reports.due(shown | ({"notices": list(notices)} if notices else {}))) is not None:
                    tune.report(report)
                notices.clear()
                self._alive()

            if job.job_type == "stn":
                found = [stages.run_stn(job.config, workspace, epoch)]
            else:
                configs = [trial.config for trial in job.trials]
                wanted = dataclasses.replace(supplies.wanted, intermediate=name if name in METRICS else None)
                found = stages.run_trials(configs, workspace, epoch, read_out, wanted=wanted)
            send()
        return found


class Reports:
    """Gathers the rows of epochs, so that a worker reports every `seconds` at most; nothing is left out.

    Each report costs the driver milliseconds, and it may have a thousand workers; clock: seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic):
        self._seconds, self._clock = seconds, clock
        self._rows: list[dict[str, Any]] = []
        self._reported = -float("inf")

    def due(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """The report of this row and those before it; None where it is not time yet."""
        self._rows.append(row)
        if self._clock() - self._reported < self._seconds:
            return None
        self._reported = self._clock()
        return self.last({})

    def last(self, done: dict[str, Any]) -> dict[str, Any]:
        """The report `done` with the rows that have not been reported."""
        # As text: Tune would keep statistics of each number.
        rows, self._rows = json.dumps(self._rows), []
        return done | {"rows": rows}


def rows_of(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The epochs of a report: the inverse of `Reports`."""
    rows: list[dict[str, Any]] = json.loads(report.get("rows", "[]"))
    return rows


@contextlib.contextmanager
def _noted() -> Iterator[list[str]]:
    """The warnings of `tivae` as they come, to be logged by the driver: what this process prints is not shown."""
    handler = _Notes()
    logger = logging.getLogger("tivae")
    logger.addHandler(handler)
    try:
        yield handler.notices
    finally:
        logger.removeHandler(handler)


class _Notes(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.notices: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.notices.append(record.getMessage())


@contextlib.contextmanager
def _watched(time_limit: float | None) -> Iterator[Callable[[], None]]:
    """Gives a call that starts the time anew; the process ends when it runs out, whatever hangs in it."""

    def alive() -> None:
        if time_limit is not None:
            # Python's own watchdog is a thread that needs no interpreter lock.
            faulthandler.dump_traceback_later(time_limit, exit=True, file=STDERR)

    alive()
    try:
        yield alive
    finally:
        faulthandler.cancel_dump_traceback_later()


def _prepare(threads: int) -> None:
    """Sets up this process for a trial; Ray gives workers one thread, whatever their CPUs."""
    torch.set_num_threads(threads)
    heap.keep_freed_memory()
