"""Runs jobs with Ray Tune on the slots of a machine or a cluster."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.error import TuneError
from ray.tune.execution import tune_controller
from ray.tune.experiment import Trial

from study import signals
from study.engine.devices import Pool
from study.engine.dispatcher import Dispatcher
from study.engine.scheduler import ActorManager, Scheduler
from study.engine.worker import Supplies, rows_of, work
from study.jobs import Job
from study.monitor.observer import Observer
from study.monitor.progress import duration, label

TUNE_FOLDER = "tune"
# Every node has it.
NODE_LABEL = "ray.io/node-id"


def run(
    dispatcher: Dispatcher, slots: Callable[[], Sequence[Pool]], supplies: Supplies, observer: Observer, study: Path
) -> None:
    """Runs the dispatcher's jobs on the pools that `slots` gives at each time; each event goes to the observer.

    Ctrl-C ends it early, without an exception, and so does the loss of the last node that can run trials. What the
    observer raises, such as `OSError` on a full disk, ends it as well.
    """
    # Tune's own files of an earlier run: the trials' records are what a study continues from.
    shutil.rmtree(study / TUNE_FOLDER, ignore_errors=True)
    events = _Events(dispatcher, observer, slots, supplies.time_limit)
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(work, supplies=supplies), _resources),
        tune_config=tune.TuneConfig(
            search_alg=dispatcher,
            # The dispatcher decides when it is over: a job that is given out again is another trial of Tune's.
            num_samples=-1,
            scheduler=Scheduler(dispatcher),
            reuse_actors=True,
            trial_dirname_creator=_folder_name,
            trial_name_creator=_folder_name,
        ),
        run_config=tune.RunConfig(
            name=TUNE_FOLDER,
            storage_path=str(study.resolve()),
            callbacks=[events],
            # Tune would try again on the resources of the first attempt, which may be gone.
            failure_config=tune.FailureConfig(max_failures=0),
            verbose=0,
        ),
    )
    # By its name there, as Tune lets nobody choose it.
    controllers: Any = tune_controller
    controllers.RayActorManager = ActorManager
    # The records are what a study continues from: of ten thousand trials Tune would write 180 MB as it ends.
    controllers.TuneController.save_to_dir = _save_nothing
    # It would repeat, without their reasons, which trials failed.
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)
    with _raised_by_callbacks():
        tuner.fit()
    events.give_up()


@contextlib.contextmanager
def _raised_by_callbacks() -> Iterator[None]:
    """Raises what a callback has raised, which Tune wraps in an error whose message is the traceback."""
    try:
        yield
    except TuneError as error:
        if error.__context__ is None:
            raise
        raise error.__context__ from None


class _Events(tune.Callback):
    """Passes Tune's events to the observer as events of the dispatcher's jobs."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        observer: Observer,
        slots: Callable[[], Sequence[Pool]],
        time_limit: float | None,
    ):
        self._dispatcher, self._observer, self._time_limit = dispatcher, observer, time_limit
        self._slots, self._pools = slots, slots()
        self._heard: dict[str, float] = {}
        # Kept here, as the dispatcher drops a job before its end is reported.
        self._jobs: dict[str, Job] = {}
        self._logged: set[tuple[str, ...]] = set()
        self._answers_signals = False

    # Tune saves its callbacks with the experiment; the display can't be saved, and needs not be.
    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        # Tune sets what Ctrl-C does after its callbacks are made; ending its workers takes seconds.
        if not self._answers_signals:
            self._answers_signals = True
            signals.answered(lambda: self._observer.log("Stopping; what is finished is kept"))
        pools = self._slots()
        if pools is not self._pools:
            self._pools = pools
            self._observer.resized(sum(pool.slots for pool in pools))
            self._dispatcher.resize(pools)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self.give_up()
        self._observer.step()

    def give_up(self) -> None:
        """Reports the jobs that will never run."""
        for job, reason in self._dispatcher.given_up():
            self._observer.failed(job, reason)

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        job = self._jobs[trial.trial_id] = self._dispatcher.job(trial.trial_id)
        self._observer.started(job, trial.config["pool"]["device"])
        self._heard[trial.trial_id] = time.monotonic()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        self._heard[trial.trial_id] = time.monotonic()
        if rows := rows_of(result):
            self._observer.reported(self._jobs[trial.trial_id], rows)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        job, result = self._jobs.pop(trial.trial_id, None), trial.last_result or {}
        _forget_statistics(trial)
        if job is None:  # withdrawn before it started
            return
        if (epoch := self._dispatcher.pruned_after(trial.trial_id)) is not None:
            self._observer.ended(job, {"status": "pruned", "error": None, "epoch": epoch})
        elif result.get("status") == "unsupported":
            self._unsupported(job, trial, result["error"])
        # Tune calls interrupted trials complete as well: only a worker's last word has a status.
        elif "status" in result:
            self._observer.ended(job, result)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        _forget_statistics(trial)
        reason = self._overdue(trial) or _reason(trial)
        # One whose worker died while it started has not been running.
        job = self._jobs.pop(trial.trial_id, None) or Job.from_text(trial.config["job"])
        if self._dispatcher.was_put_back(trial.trial_id):
            self._observer.put_back(job, reason)
        else:
            self._observer.failed(job, reason)

    def _overdue(self, trial: Trial) -> str | None:
        silent = time.monotonic() - self._heard.pop(trial.trial_id, time.monotonic())
        if self._time_limit is None or silent < self._time_limit:
            return None
        return f"no epoch ended within {duration(self._time_limit)}; see --time-limit"

    def _unsupported(self, job: Job, trial: Trial, reason: str) -> None:
        place = trial.config["pool"]["place"]
        if not self._dispatcher.was_put_back(trial.trial_id):
            lacks = f"{place} lacks an operation that it needs ({reason}), and there is no other device"
            self._observer.failed(job, lacks)
            return
        self._observer.put_back(job)
        if (place, *job.operations) not in self._logged:
            self._logged.add((place, *job.operations))
            self._observer.log(f"{place} can't run {label(job)} ({reason}); trials like it run elsewhere")


def _resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Of the pool's own node: Ray would place what asks for CPUs on a node whose CPUs are meant for its GPUs."""
    pool = config["pool"]
    where: dict[str, Any] = {"bundle_label_selector": [{NODE_LABEL: pool["node"]}]} if pool["node"] else {}
    return tune.PlacementGroupFactory([dict(pool["resources"])], **where)


def _save_nothing(controller: Any) -> None:
    """Writes the file that Tune needs at the end, with nothing in it."""
    file = Path(controller.experiment_state_path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}")


def _reason(trial: Trial) -> str:
    """Why the trial's worker has died, in a line: its exception, or Ray's reason."""
    try:
        # Tune's own `get_error` looks for a copy that it makes later.
        text = Path(trial.error_file).read_text()
    except (OSError, TypeError):
        return "its worker died"
    # After the header of the last failure; an exception is named at the end, a death at the beginning.
    lines = [line.strip() for line in text.rpartition("Failure #")[2].splitlines()[1:] if line.strip()]
    if not lines:
        return "its worker died"
    return (lines[-1] if re.match(r"[\w.]*(Error|Exception)\b", lines[-1]) else lines[0])[:300]


def _forget_statistics(trial: Trial) -> None:
    """Frees what Tune keeps of every number that an ended trial has reported: 0.2 MB, in studies of thousands."""
    trial.metric_analysis.clear()
    trial.metric_n_steps.clear()


def _folder_name(trial: Trial) -> str:
    return f"trial_{trial.trial_id}"
