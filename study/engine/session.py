"""A run from start to end: Ray, the jobs, and their display, records and logs."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import ray
from rich.console import Console

from study.engine import cluster, devices, tune
from study.engine.dispatcher import Dispatcher
from study.engine.worker import Supplies
from study.jobs import Job
from study.monitor.display import Display
from study.monitor.mlflow_log import MLflow
from study.monitor.observer import Observer
from study.monitor.progress import Progress, duration
from study.monitor.status_file import StatusFile
from study.monitor.tensorboard import TensorBoard
from study.options import RunOptions
from study.search.optuna_search import OptunaSearch
from study.search.searched_jobs import SearchedJobs
from study.storage.folder import StudyPaths
from study.storage.recorder import Logger, Recorder
from tivae import records
from tivae.config import TrialConfig
from tivae.data.image_set import ImageSet
from tivae.data.loading import load


def work(
    jobs: Sequence[Job],
    finished: Sequence[TrialConfig],
    place: StudyPaths,
    options: RunOptions,
    console: Console,
    search: OptunaSearch | None = None,
) -> Progress:
    """Runs the jobs, or those of the search, and returns their progress, which is incomplete after an interruption.

    finished: trials that an earlier run finished.

    Raises `ClusterError`, `DeviceError`, `StorageError`, `MLflowError` and `DataError` before anything runs.
    """
    wanted = devices.SlotOptions.of(options)
    # All of them before anything runs: one that is missing is bad input.
    data = {images.name: load(images, options.data) for images in _image_sets(jobs, search)}
    with contextlib.ExitStack() as stack:
        loggers = _loggers(place.study, options)
        with console.status("Starting Ray ..." if options.address is None else f"Joining {options.address} ..."):
            dashboard = stack.enter_context(
                cluster.session(options.address, dashboard=options.dashboard, again=options.again)
            )
        log = functools.partial(console.print, highlight=False, markup=False, soft_wrap=True)
        wanted.pools(cluster.awaited(options.node_timeout, log))
        if options.address is not None:
            cluster.check_storage(place.storage, wanted, options.node_timeout)
        display = Display(_progress(jobs, finished, place.study, search), console)
        progress = display.progress
        slots = cluster.LiveSlots(wanted, display.log)
        progress.resize(sum(pool.slots for pool in slots()))
        what = f"{progress.unknown} trials" if search else f"{len(jobs)} jobs"
        log(f"{what} on {devices.named(slots())}; results in {place.study}")
        if options.dashboard and dashboard is not None:
            log(f"Ray's dashboard, for this machine only: http://{dashboard} (token: ~/.ray/auth_token)")
        # Ray keeps copies; those of this process would take another 55 MB each.
        shared = {name: ray.put(images) for name, images in data.items()}
        del data
        supplies = Supplies(
            data=shared, storage=place.storage, wanted=options.wanted, time_limit=options.time_limit_seconds
        )
        recorder = Recorder(place.study, place.storage, place.frames, loggers, None if search is None else search.tell)
        recorder.mirror.send_unfinished([part for job in jobs for part in job.parts])
        dispatcher = Dispatcher(jobs, slots(), None if search is None else SearchedJobs(search, place.study, progress))
        with _status(place.study, progress) as status, contextlib.closing(recorder), display:
            tune.run(dispatcher, slots, supplies, Observer(display, recorder, status.update), place.study)
            progress.lost_nodes = progress.waiting > 0 and not slots()
    log(f"Ran for {duration(progress.elapsed)}{_in_trials(progress)}")
    return progress


def _progress(
    jobs: Sequence[Job], finished: Sequence[TrialConfig], study: Path, search: OptunaSearch | None
) -> Progress:
    """At the start of a run, on one slot; the best of an earlier run is the best so far."""
    if search is None:
        progress = Progress(jobs, 1, len(finished), time.monotonic)
    else:
        progress = Progress(jobs, 1, search.ended, time.monotonic, search.left, search.score)
        finished = search.finished()
    for config in finished:
        record = records.read(records.trial_folder(study, config.key)) or {}
        progress.consider(Job("trial", config), record.get("metrics", {}).get(progress.score.metric))
    return progress


def _image_sets(jobs: Sequence[Job], search: OptunaSearch | None) -> list[ImageSet]:
    """The data sets of all trials of the run."""
    known = [job.config.images for job in jobs] if search is None else search.search.image_sets
    return list({images.name: images for images in known}.values())


def _loggers(study: Path, options: RunOptions) -> list[Logger]:
    loggers: list[Logger] = [TensorBoard(study)] if options.tensorboard else []
    return loggers + ([MLflow(options.mlflow, study)] if options.mlflow is not None else [])


@contextlib.contextmanager
def _status(study: Path, progress: Progress) -> Iterator[StatusFile]:
    status = StatusFile(study, progress)
    state = "interrupted"
    try:
        yield status
        state = "interrupted" if progress.waiting or progress.running else "ended"
    finally:
        status.write(state)


def _in_trials(progress: Progress) -> str:
    whole, filled = progress.utilisation.share(), progress.utilisation.share_while_filled()
    if whole is None or not progress.ended_jobs:
        return ""
    waiting = "" if filled is None else f", {filled:.1%} while trials were waiting"
    return f"; {whole:.1%} of the slots' time was spent inside trials{waiting}"
