"""Runs jobs with Ray Tune on the slots of a machine or a cluster."""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.execution import tune_controller
from ray.tune.experiment import Trial

from study.engine.cluster import LiveSlots, awaited, check_storage, session
from study.engine.devices import ClusterError, Pool
from study.engine.dispatcher import Dispatcher
from study.engine.scheduler import ActorManager, Scheduler
from study.engine.worker import rows_of, work
from study.jobs import Job
from study.monitor.display import Display
from study.monitor.progress import duration, label
from study.search.searched_jobs import SearchedJobs
from study.storage.remote import Storage
from tivae.stages import Wanted

__all__ = ["ClusterError", "LiveSlots", "Watchers", "awaited", "check_storage", "run", "session"]

TUNE_FOLDER = "tune"
# Every node has it.
NODE_LABEL = "ray.io/node-id"


@dataclass(frozen=True)
class Watchers:
    """Driver callbacks for job events.

    ended: called once per job with what its worker reported last: `status` (finished, failed or pruned), `error`,
    `recorded` (whether its worker has written its record) and its metrics.
    reported: called with the metrics of epochs, in order. stepped: called several times a second.
    """

    ended: Callable[[Job, dict[str, Any]], None]
    reported: Callable[[Job, list[dict[str, Any]]], None]
    stepped: Callable[[], None]


def run(
    jobs: Sequence[Job],
    slots: Callable[[], Sequence[Pool]],
    data: Mapping[str, ray.ObjectRef[Any]],
    study: Path,
    display: Display,
    watchers: Watchers,
    wanted: Wanted | None = None,
    more: SearchedJobs | None = None,
    storage: Storage | None = None,
    time_limit: float | None = None,
) -> None:
    """Runs all jobs on the pools that `slots` gives at each time.

    data: the `Images` of each data set, in Ray's object store, from where each node has its copy.
    wanted, time_limit: see `worker.work`. more: a search, whose jobs are run as it comes upon them. storage: where
    the workers leave their records; the folder `study` unless given.

    Ctrl-C ends it early, without an exception, and so does the loss of the last node that can run trials; the
    display's progress shows what has ended.
    """
    # Tune's own files of an earlier run: the trials' records are what a study continues from.
    shutil.rmtree(study / TUNE_FOLDER, ignore_errors=True)
    events = _Events(display, watchers, slots, more, time_limit)
    dispatcher = Dispatcher(jobs, slots(), give_up=events.give_up, more=more)
    events.dispatcher = dispatcher
    storage = storage or Storage(str(study.resolve()))
    trainable = tune.with_parameters(work, data=data, storage=storage, wanted=wanted or Wanted(), time_limit=time_limit)
    tuner = tune.Tuner(
        tune.with_resources(trainable, _resources),
        tune_config=tune.TuneConfig(
            search_alg=dispatcher,
            # The dispatcher says when it is over: a job that has to be given out again is another trial of Tune's.
            num_samples=-1,
            scheduler=Scheduler(dispatcher, events.should_prune),
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
    # It would repeat, without their reasons, which trials failed.
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)
    tuner.fit()


class _Events(tune.Callback):
    """Passes Tune's events on to the bookkeeping and the display."""

    def __init__(
        self,
        display: Display,
        watchers: Watchers,
        slots: Callable[[], Sequence[Pool]],
        more: SearchedJobs | None,
        time_limit: float | None,
    ):
        self._progress, self._display, self._watchers = display.progress, display, watchers
        self._slots, self._pools, self._more = slots, slots(), more
        self.dispatcher: Dispatcher | None = None
        self._time_limit = time_limit
        self._heard: dict[str, float] = {}
        self._jobs: dict[str, Job] = {}
        # By Tune's trial, the epoch after which it was given up.
        self._pruned: dict[str, int] = {}
        self._told: set[tuple[str, ...]] = set()

    # Tune saves its callbacks with the experiment; the display can't be saved, and needs not be.
    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        pools = self._slots()
        if pools is not self._pools:
            assert self.dispatcher is not None
            self._pools = pools
            self._progress.resize(sum(pool.slots for pool in pools))
            self.dispatcher.resize(pools)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        self._display.tick()
        self._watchers.stepped()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        assert self.dispatcher is not None
        job = self._jobs[trial.trial_id] = self.dispatcher.job(trial.trial_id)
        self._progress.start(job, trial.config["pool"]["device"])
        self._heard[trial.trial_id] = time.monotonic()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        self._heard[trial.trial_id] = time.monotonic()
        job, rows = self._jobs[trial.trial_id], rows_of(result)
        if not rows:
            return
        for row in rows:
            for notice in row.pop("notices", ()):
                self._display.say(f"note {job.key}: {notice}")
            self._progress.report(job, row)
        self._watchers.reported(job, rows)

    def should_prune(self, trial: Trial, report: dict[str, Any]) -> bool:
        """Whether a search gives the trial up after any of these epochs, which is remembered for its end."""
        if self._more is None:
            return False
        for row in rows_of(report):
            # One that has finished by now is worth more than a trial given up.
            if self._more.should_prune(self._jobs[trial.trial_id], row) and "status" not in report:
                self._pruned[trial.trial_id] = row["epoch"]
                break
        return trial.trial_id in self._pruned

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        job, result = self._jobs.pop(trial.trial_id, None), trial.last_result or {}
        _forget_statistics(trial)
        if job is None:  # withdrawn before it started
            return
        if trial.trial_id in self._pruned:
            epoch = self._pruned[trial.trial_id]
            self._ended(job, {"status": "pruned", "error": None, "recorded": False, "epoch": epoch})
        elif result.get("status") == "unsupported":
            self._unsupported(job, trial, result["error"])
        # Tune calls interrupted trials complete as well: only a worker's last word has a status.
        elif "status" in result:
            self._ended(job, result | {"recorded": "records" in result})

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        _forget_statistics(trial)
        reason = self._overdue(trial) or _reason(trial)
        # One whose worker died while it started has not been running.
        job = self._jobs.pop(trial.trial_id, None) or Job.from_text(trial.config["job"])
        if self._is_put_back(trial):
            self._progress.put_back(job)
            self._display.say(f"again {job.key} {label(job)}: it continues from its last epoch ({reason})")
            return
        self._ended(job, {"status": "failed", "error": reason, "recorded": False})

    def _overdue(self, trial: Trial) -> str | None:
        silent = time.monotonic() - self._heard.pop(trial.trial_id, time.monotonic())
        if self._time_limit is None or silent < self._time_limit:
            return None
        return f"no epoch ended within {duration(self._time_limit)}; see --time-limit"

    def give_up(self, job: Job, reason: str) -> None:
        """A job that never ran."""
        self._ended(job, {"status": "failed", "error": reason, "recorded": False})

    def _unsupported(self, job: Job, trial: Trial, reason: str) -> None:
        place = trial.config["pool"]["place"]
        if not self._is_put_back(trial):
            lacks = f"{place} lacks an operation that it needs ({reason}), and there is no other device"
            self._ended(job, {"status": "failed", "error": lacks, "recorded": False})
            return
        self._progress.put_back(job)
        if (place, *job.operations) not in self._told:
            self._told.add((place, *job.operations))
            self._display.say(f"{place} can't run {label(job)} ({reason}); trials like it run elsewhere")

    def _is_put_back(self, trial: Trial) -> bool:
        assert self.dispatcher is not None
        return self.dispatcher.was_put_back(trial.trial_id)

    def _ended(self, job: Job, result: dict[str, Any]) -> None:
        """A job has ended: its trials each with what their records say or, without these, as the job did."""
        found = json.loads(result.get("records", "{}"))
        trials = {key: {**record["metrics"], **record, "recorded": True} for key, record in found.items()}
        self._progress.end(job, result, trials)
        for part in job.trials or [job]:
            ended = trials.get(part.key, result)
            self._display.ended(part, ended)
            self._watchers.ended(part, ended)


def _resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Of the pool's own node: Ray would place what asks for CPUs on a node whose CPUs are meant for its GPUs."""
    pool = config["pool"]
    where: dict[str, Any] = {"bundle_label_selector": [{NODE_LABEL: pool["node"]}]} if pool["node"] else {}
    return tune.PlacementGroupFactory([dict(pool["resources"])], **where)


def _reason(trial: Trial) -> str:
    """Why the trial's worker has gone, in a line: what it raised, or what Ray says of its death."""
    try:
        # Tune's own `get_error` looks for a copy that it makes later.
        text = Path(trial.error_file).read_text()
    except (OSError, TypeError):
        return "its worker died"
    # After the header of the last failure; an exception is named at the end, a death is told at the beginning.
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
