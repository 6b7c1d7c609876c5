"""Adaptations of Tune's event loop to a thousand workers, and its decisions to stop trials."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.air.execution._internal import RayActorManager
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from study.engine.dispatcher import Dispatcher

# Events are gathered for so long: each of Tune's steps has a price, which grows with the workers.
GATHERING_SECONDS = 0.05
# With fewer to wait for each event is taken at once.
FEW_FUTURES = 50


class ActorManager(RayActorManager):
    """Tune's actor manager, taking all pending events at once.

    Tune looks through all futures for each single event, which with a thousand workers takes longer than what follows.
    """

    _last = 0.0

    def next(self, timeout: float | None = None) -> bool:
        """Takes the next event, and those that have come since the last call; False where none comes in time."""
        waiting = self._actor_task_events.num_futures
        if waiting > FEW_FUTURES:
            time.sleep(max(0.0, self._last + GATHERING_SECONDS - time.monotonic()))
        self._last = time.monotonic()
        if not super().next(timeout):
            return False
        if waiting > FEW_FUTURES:
            self._take_all()
        return True

    def _take_all(self) -> None:
        events = self._actor_task_events
        futures = list(events.get_futures())
        ready, _ = ray.wait(futures, num_returns=len(futures), timeout=0) if futures else ([], [])
        for future in ready:
            # An event may do away with others.
            if future in events._tracked_futures:
                events.resolve_future(future)


class Scheduler(FIFOScheduler):
    """Tune's first-in-first-out order, without its walk through all trials at every step."""

    def __init__(self, dispatcher: Dispatcher):
        super().__init__()  # type: ignore[no-untyped-call]
        self._dispatcher = dispatcher
        self._trials: dict[str, Trial] = {}

    # Tune saves its scheduler with the experiment; a search is saved in its own storage.
    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Keeps the trial."""
        self._trials[trial.trial_id] = trial

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Stop or continue, after an epoch."""
        prunes = self._dispatcher.should_prune(trial.trial_id, result)
        return str(FIFOScheduler.STOP if prunes else FIFOScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """None: Tune starts pending trials in their order by itself. Before that, stranded ones are withdrawn."""
        for trial_id in self._dispatcher.stranded():
            trial = self._trials[trial_id]
            # One that runs there ends by itself, when Ray finds its worker dead.
            if trial.status == Trial.PENDING:
                self._dispatcher.withdraw(trial_id)
                tune_controller.stop_trial(trial)
        return None

    def on_trial_complete(self, tune_controller: Any, trial: Trial, *_: Any) -> None:
        """Drops the trial, however it ended."""
        self._trials.pop(trial.trial_id, None)

    on_trial_error = on_trial_remove = on_trial_complete
