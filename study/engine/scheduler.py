"""Which trials of Tune's are stopped: those to be pruned, and those that wait for a device that is gone."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from study.engine.dispatcher import Dispatcher


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
        """Keeps the trial at hand."""
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

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Lets go of the trial."""
        self._trials.pop(trial.trial_id, None)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Lets go of the trial."""
        self._trials.pop(trial.trial_id, None)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Lets go of the trial."""
        self._trials.pop(trial.trial_id, None)
