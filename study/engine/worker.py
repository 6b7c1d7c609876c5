"""What a worker process does with a job; runs under Ray Tune."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from study.jobs import Job
from study.storage.remote import Storage
from tivae import device_support, records, registry, stages
from tivae.evaluation.intermediate import METRICS
from tivae.evaluation.measures import chosen
from tivae.io.record import CHECKPOINT
from tivae.stages import Place, Wanted
from tivae.training import heap
from tivae.training.loop import EpochRow, epoch_file

STDERR = 2

# The figures of an epoch that the driver shows.
REPORTED = (
    *("epoch", "wall_seconds", "images_per_second"),
    *("train_loss", "train_alignment_loss", "base_loss", "augmented_loss"),
)


def work(
    config: dict[str, Any],
    *,
    data: Mapping[str, ray.ObjectRef[Any]],
    storage: Storage,
    wanted: Wanted,
    time_limit: float | None = None,
) -> None:
    """Runs one job, reporting each epoch; its records and checkpoints are left on the storage.

    config: `job` (`Job.to_text`) and `pool` (device, threads), as the dispatcher makes it; `intermediate`: the metric
    that a search prunes by, to be reported after every epoch, or None.
    data: the `Images` of each data set, of which only the job's come to this node.
    wanted: what is computed of trials besides. time_limit: seconds from one report or trial to the next, after which
    this process ends itself.

    What the device lacks is reported as the status `unsupported`, and nothing is recorded.

    Raises what a full or broken device raises: Tune then replaces this process, and the job is given out again.
    """
    with _watched(time_limit) as alive:
        try:
            _work(config, data, storage, wanted, alive)
        finally:
            # Until its next job the process would keep it from the others on the device.
            device_support.release(config["pool"]["device"])


def _work(
    config: dict[str, Any],
    data: Mapping[str, ray.ObjectRef[Any]],
    storage: Storage,
    wanted: Wanted,
    alive: Callable[[], None],
) -> None:
    began = time.perf_counter()
    job, pool = Job.from_text(config["job"]), config["pool"]
    _prepare(pool["threads"])
    with registry.importing():
        chosen(wanted.measures)
    pretraining = job.job_type == "stn"
    lacking = device_support.missing(job.config, pool["device"], pretraining=pretraining, measures=wanted.measures)
    if lacking is not None:
        tune.report({"status": "unsupported", "error": lacking})
        return
    try:
        found = _run(job, config, data, storage, wanted, alive)
    except (FileExistsError, NotADirectoryError) as error:
        # Of this job's folder alone: something else lies in its place.
        why = f"{records.reason(error)}; remove what lies in the place of a folder"
        tune.report({"status": "failed", "error": why})
        return
    except OSError:
        # Nothing could be written: Tune must know, or the job would count as done.
        raise
    except Exception as error:
        if device_support.is_to_blame(pool["device"], error):
            raise
        # An STN's failure is told, not raised: Tune would run the same bug again.
        tune.report({"status": "failed", "error": records.reason(error)})
        return
    # As text: Tune would keep statistics of each number.
    told = {record["key"]: {name: record[name] for name in ("status", "error", "metrics")} for record in found}
    done = {"status": "finished", "error": None, "records": json.dumps(told)}
    tune.report(done | {"busy_seconds": time.perf_counter() - began})


def _run(
    job: Job,
    config: dict[str, Any],
    data: Mapping[str, ray.ObjectRef[Any]],
    storage: Storage,
    wanted: Wanted,
    alive: Callable[[], None],
) -> list[dict[str, Any]]:
    """The records of the job's STN or trials, which are on the storage when this returns."""
    intermediate = config.get("intermediate")
    reported = REPORTED if intermediate is None else (*REPORTED, intermediate)
    with storage.at_hand(*job.parts) as (study, send), _noted() as notices:
        place = Place(ray.get(data[job.config.dataset]), config["pool"]["device"], study)
        kept = [epoch_file(Path(CHECKPOINT), trial.config.epochs).name for trial in job.trials]
        kept.append(CHECKPOINT)

        def report(row: EpochRow) -> None:
            try:
                send(*kept)
            except OSError as error:
                # The next epoch's may pass; a result is worth more than a checkpoint.
                logging.getLogger("tivae").warning("the checkpoint could not be sent (%s)", error)
            losses = {name: row[name] for name in reported if name in row}
            # Given in every row, as Tune carries over what a row leaves out.
            tune.report(losses | {"notices": "\n".join(notices)})
            notices.clear()
            alive()

        if job.job_type == "stn":
            found = [stages.run_stn(job.config, place, report)]
        else:
            estimated = intermediate if intermediate in METRICS else None
            configs = [trial.config for trial in job.trials]
            wanted = dataclasses.replace(wanted, intermediate=estimated)
            found = stages.run_trials(configs, place, report, lambda _: alive(), wanted=wanted)
        send()
    return found


@contextlib.contextmanager
def _noted() -> Iterator[list[str]]:
    """The warnings of `tivae` as they come, to be told where the user sees them: what this process prints is not."""
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
