"""Runs jobs with Ray Tune on the slots of a machine or a cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from study.devices import ClusterError, Pool
from study.dispatcher import Dispatcher
from study.display import Display
from study.jobs import Job
from study.progress import Progress
from study.searched_jobs import SearchedJobs
from study.worker import work
from tivae.fashion_mnist import FashionMNIST

# A worker that is killed is replaced this often; a trial that raises is recorded and not run again.
MAX_FAILURES = 3
TUNE_FOLDER = "tune"
REPOSITORY = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def session(address: str | None = None, cpus: int | None = None) -> Iterator[dict[str, float]]:
    """A connection to Ray: a new local instance, or the cluster at `address`. Gives the cluster's total resources.

    Raises `ClusterError` where Ray does not start or answer.
    """
    environment = {
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    }
    try:
        ray.init(
            address=address or "local",
            num_cpus=cpus,
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": environment},
        )
    # Ray raises a bare Exception where its processes need more than half a minute to start.
    except Exception as error:
        raise ClusterError(
            f"Ray did not start ({' '.join(str(error).split())}); give the command again when this machine is less busy"
        ) from error
    try:
        yield ray.cluster_resources()
    finally:
        ray.shutdown()


def run(
    jobs: Sequence[Job],
    pools: Sequence[Pool],
    data: FashionMNIST,
    study: Path,
    display: Display,
    on_end: Callable[[Job, dict[str, Any]], None],
    measures: str = "standard",
    more: SearchedJobs | None = None,
) -> None:
    """Runs all jobs; `on_end` is called in this process after each, with what its worker reported last.

    measures: see `worker.work`. more: a search, whose jobs are run as it comes upon them.

    Ctrl-C ends it early, without an exception; the display's progress tells what has ended.
    """
    # Tune's own files of an earlier run: the trials' records are what a study continues from.
    shutil.rmtree(study / TUNE_FOLDER, ignore_errors=True)
    events = _Events(display.progress, display, on_end)
    dispatcher = Dispatcher(jobs, pools, give_up=events.give_up, more=more)
    events.dispatcher = dispatcher
    trainable = tune.with_parameters(work, data=data, study=str(study), measures=measures)
    tuner = tune.Tuner(
        tune.with_resources(trainable, _resources),
        tune_config=tune.TuneConfig(
            search_alg=dispatcher,
            num_samples=len(jobs) if more is None else -1,
            scheduler=None if more is None else _Pruning(more, events),
            reuse_actors=True,
            trial_dirname_creator=_folder_name,
            trial_name_creator=_folder_name,
        ),
        run_config=tune.RunConfig(
            name=TUNE_FOLDER,
            storage_path=str(study.resolve()),
            callbacks=[events],
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            verbose=0,
        ),
    )
    with _terminated_like_interrupted():
        tuner.fit()


class _Events(tune.Callback):
    """Passes Tune's events on to the bookkeeping and the display."""

    def __init__(self, progress: Progress, display: Display, on_end: Callable[[Job, dict[str, Any]], None]):
        self._progress, self._display, self._on_end = progress, display, on_end
        self.dispatcher: Dispatcher | None = None
        self._jobs: dict[str, Job] = {}
        self._pruned: set[str] = set()

    # Tune saves its callbacks with the experiment; the display can't be saved, and needs not be.
    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._display.tick()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        assert self.dispatcher is not None
        job = self._jobs[trial.trial_id] = self.dispatcher.job(trial.trial_id)
        self._progress.start(job, trial.config["pool"]["device"])

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if "epoch" in result:
            self._progress.report(self._jobs[trial.trial_id], result)

    def prune(self, trial_id: str, more: SearchedJobs, row: dict[str, Any]) -> bool:
        """Whether a search gives the trial up, which is remembered for its end."""
        if more.is_hopeless(self._jobs[trial_id], row):
            self._pruned.add(trial_id)
        return trial_id in self._pruned

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        result = trial.last_result or {}
        if trial.trial_id in self._pruned:
            pruned = {"status": "pruned", "error": None, "recorded": False, "epoch": result.get("epoch", 0)}
            self._ended(self._jobs[trial.trial_id], pruned)
            return
        # Tune calls interrupted trials complete as well: only a worker's last word has a status.
        if "status" in result:
            self._ended(self._jobs[trial.trial_id], result | {"recorded": True})

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        lines = str(trial.get_error() or "").strip().splitlines()
        reason = lines[-1] if lines else "its worker died"
        self._ended(self._jobs[trial.trial_id], {"status": "failed", "error": reason, "recorded": False})

    def give_up(self, job: Job, reason: str) -> None:
        """A job that never ran."""
        self._ended(job, {"status": "failed", "error": reason, "recorded": False})

    def _ended(self, job: Job, result: dict[str, Any]) -> None:
        self._progress.end(job, result)
        self._display.ended(job, result)
        self._on_end(job, result)


class _Pruning(FIFOScheduler):
    """Stops the trials that a search gives up."""

    def __init__(self, more: SearchedJobs, events: _Events):
        super().__init__()
        self._more, self._events = more, events

    # Tune saves its scheduler with the experiment; a search is saved in its own storage.
    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Stop or continue, after an epoch."""
        hopeless = self._events.prune(trial.trial_id, self._more, result)
        return str(FIFOScheduler.STOP if hopeless else FIFOScheduler.CONTINUE)


def _resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    return tune.PlacementGroupFactory([dict(config["pool"]["resources"])])


def _folder_name(trial: Trial) -> str:
    return f"{trial.config['job']['kind']}_{trial.trial_id}"


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM, as a pre-empted machine sends it, stops a run as Ctrl-C does: Tune ends its loop after a step."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.raise_signal(signal.SIGINT)

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
