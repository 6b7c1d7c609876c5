"""A run from start to end: Ray, the jobs, and their display, records and logs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import ray

from study.engine import cluster, devices, tune
from study.engine.dispatcher import Dispatcher
from study.engine.worker import Supplies
from study.jobs import Job, Planned
from study.monitor.display import Display
from study.monitor.mlflow_log import MLflow
from study.monitor.observer import Observer
from study.monitor.progress import Progress, duration
from study.monitor.status_file import StatusFile
from study.monitor.tensorboard import TensorBoard
from study.search.searched_jobs import SearchedJobs
from study.storage.recorder import Logger, Recorder
from tivae import records
from tivae.data.loading import load

if TYPE_CHECKING:
    from study.running import Run
    from study.search.optuna_search import OptunaSearch


def work(work: Planned | OptunaSearch, run: Run) -> Progress:
    """Does the work and returns its progress, which is incomplete after an interruption.

    Raises `ClusterError`, `DeviceError`, `StorageError`, `MLflowError` and `DataError` before anything runs.
    """
    options = run.options
    wanted = devices.SlotOptions.of(options)
    # All of them before anything runs: one that is missing is bad input.
    image_sets = {images.name: images for images in work.image_sets}
    data = {name: load(images, options.data) for name, images in image_sets.items()}
    with contextlib.ExitStack() as stack:
        loggers = _loggers(run)
        with run.console.status("Starting Ray ..." if options.address is None else f"Joining {options.address} ..."):
            dashboard = stack.enter_context(
                cluster.session(options.address, dashboard=options.dashboard, again=options.again)
            )
        wanted.pools(cluster.awaited(options.node_timeout, run.log))
        if options.address is not None:
            cluster.check_storage(run.storage, wanted, options.node_timeout)
        display = Display(_progress(work, run.study), run.console)
        progress = display.progress
        slots = cluster.LiveSlots(wanted, display.log)
        progress.resize(sum(pool.slots for pool in slots()))
        what = f"{progress.unknown} trials" if progress.unknown else f"{len(work.jobs)} jobs"
        run.log(f"{what} on {devices.named(slots())}; results in {run.study}")
        if options.dashboard and dashboard is not None:
            run.log(f"Ray's dashboard, for this machine only: http://{dashboard} (token: ~/.ray/auth_token)")
        # Ray keeps copies; those of this process would take another 55 MB each.
        shared = {name: ray.put(images) for name, images in data.items()}
        del data
        supplies = Supplies(
            data=shared, storage=run.storage, wanted=options.wanted, time_limit=options.time_limit_seconds
        )
        recorder = Recorder(run.study, run.storage, run.frames, loggers, work.tell)
        recorder.mirror.send_unfinished([part for job in work.jobs for part in job.parts])
        searched = None if isinstance(work, Planned) else SearchedJobs(work, run.study, progress)
        dispatcher = Dispatcher(work.jobs, slots(), searched)
        with _status(run.study, progress) as status, contextlib.closing(recorder), display:
            tune.run(dispatcher, slots, supplies, Observer(display, recorder, status.update), run.study)
            progress.lost_nodes = progress.waiting > 0 and not slots()
    run.log(f"Ran for {duration(progress.elapsed)}{_in_trials(progress)}")
    return progress


def _progress(work: Planned | OptunaSearch, study: Path) -> Progress:
    """At the start of a run, on one slot; the best of an earlier run is the best so far."""
    progress = Progress(work.jobs, 1, work.ended, time.monotonic, work.left, work.score)
    for config in work.finished:
        record = records.read(records.trial_folder(study, config.key)) or {}
        progress.consider(Job("trial", config), record.get("metrics", {}).get(progress.score.metric))
    return progress


def _loggers(run: Run) -> list[Logger]:
    study, options = run.study, run.options
    loggers: list[Logger] = [TensorBoard(study)] if options.tensorboard else []
    if options.mlflow is not None:
        mlflow = MLflow(options.mlflow, study)
        if mlflow.page:
            run.log(f"MLflow: {mlflow.page}")
        loggers.append(mlflow)
    return loggers


@contextlib.contextmanager
def _status(study: Path, progress: Progress) -> Iterator[StatusFile]:
    status = StatusFile(study, progress)
    state = "interrupted"
    try:
        yield status
        state = "ended" if progress.is_over else "interrupted"
    finally:
        status.write(state)


def _in_trials(progress: Progress) -> str:
    whole, filled = progress.utilisation.share(), progress.utilisation.share_while_filled()
    if whole is None or not progress.ended_jobs:
        return ""
    waiting = "" if filled is None else f", {filled:.1%} while trials were waiting"
    return f"; {whole:.1%} of the slots' time was spent inside trials{waiting}"
