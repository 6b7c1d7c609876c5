"""A run's work: the connection to Ray, and everything that follows the jobs as they go on."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import ray
from rich.console import Console

from study.engine import devices, tune
from study.jobs import Job
from study.monitor.display import Display
from study.monitor.mlflow_log import MLflow
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
    """Runs the jobs, or those of the search, and returns how far they came: less than all where it was interrupted.

    finished: trials that an earlier run finished.

    Raises `ClusterError`, `DeviceError`, `StorageError`, `MLflowError` and `DataError` before anything runs.
    """
    study, storage = place.study, place.storage
    wanted = devices.SlotOptions.of(options)
    # All of them before anything runs: one that is missing is bad input.
    data = {images.name: load(images, options.data) for images in _image_sets(jobs, search)}
    with contextlib.ExitStack() as stack:
        loggers = _loggers(study, options)
        with console.status("Starting Ray ..." if options.address is None else f"Joining {options.address} ..."):
            dashboard = stack.enter_context(
                tune.session(options.address, dashboard=options.dashboard, again=options.again)
            )
        say = functools.partial(console.print, highlight=False, markup=False, soft_wrap=True)
        wanted.pools(tune.awaited(options.node_timeout, say))
        if options.address is not None:
            tune.check_storage(storage, wanted, options.node_timeout)
        unknown = 0 if search is None else search.left
        before = len(finished) if search is None else search.ended
        score = None if search is None else search.score
        display = Display(Progress(jobs, 1, before, time.monotonic, unknown, score), console)
        progress = display.progress
        slots = tune.LiveSlots(wanted, display.say)
        progress.resize(sum(pool.slots for pool in slots()))
        _consider(finished if search is None else search.finished(), study, progress)
        console.print(
            f"{len(jobs) or unknown} {'trials' if search else 'jobs'} on {devices.named(slots())}; results in {study}",
            highlight=False,
            soft_wrap=True,
        )
        if options.dashboard and dashboard is not None:
            console.print(
                f"Ray's dashboard, for this machine only: http://{dashboard} (token: ~/.ray/auth_token)",
                highlight=False,
            )
        # The copies of this process would be one more of 55 MB each.
        shared = {name: ray.put(images) for name, images in data.items()}
        del data
        recorder = Recorder(study, storage, place.frames, loggers, None if search is None else search.tell)
        recorder.mirror.send_unfinished([part for job in jobs for part in job.parts])
        more = None if search is None else SearchedJobs(search, study, progress)
        with _status(study, progress) as status, contextlib.closing(recorder), display:
            watchers = tune.Watchers(recorder.ended, recorder.reported, status.update)
            tune.run(
                jobs, slots, shared, study, display, watchers, options.wanted, more, storage, options.time_limit_seconds
            )
            progress.lost_nodes = progress.waiting > 0 and not slots()
    console.print(f"Ran for {duration(progress.elapsed)}{_in_trials(progress)}", highlight=False, soft_wrap=True)
    return progress


def _image_sets(jobs: Sequence[Job], search: OptunaSearch | None) -> list[ImageSet]:
    """The data sets of all trials that the run may come to."""
    known = [job.config.images for job in jobs] if search is None else search.search.image_sets
    return list({images.name: images for images in known}.values())


def _loggers(study: Path, options: RunOptions) -> list[Logger]:
    loggers: list[Logger] = [TensorBoard(study)] if options.tensorboard else []
    return loggers + ([MLflow(options.mlflow, study)] if options.mlflow is not None else [])


def _consider(finished: Sequence[TrialConfig], study: Path, progress: Progress) -> None:
    """The best of an earlier run is the best so far."""
    for config in finished:
        record = records.read(records.trial_folder(study, config.key)) or {}
        progress.consider(Job("trial", config), record.get("metrics", {}).get(progress.score.metric))


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
