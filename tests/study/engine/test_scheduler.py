"""Which of Tune's trials are stopped."""

from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from study.engine.devices import Pool
from study.engine.dispatcher import Dispatcher
from study.engine.scheduler import Scheduler
from study.jobs import plan
from tivae.config import TrialConfig

GPU = Pool("cuda", {"GPU": 1}, 2)
CPU = Pool("cpu", {"CPU": 1}, 2)


class Controller:
    """Tune's, as far as a scheduler may use it."""

    def __init__(self, scheduler, dispatcher):
        self._scheduler, self._dispatcher = scheduler, dispatcher
        self.stopped = []

    def stop_trial(self, trial):
        self.stopped.append(trial.trial_id)
        self._scheduler.on_trial_remove(self, trial)
        self._dispatcher.on_trial_complete(trial.trial_id)


@pytest.fixture
def given(tmp_path):
    """Two trials on the GPU, one running and one pending, and a search that gives up by `loss`."""
    search = SimpleNamespace(left=0, intermediate="loss", ask=list, should_prune=lambda job, row: row["loss"] > 1)
    dispatcher = Dispatcher(plan([TrialConfig(seed=seed) for seed in range(9)], tmp_path), [GPU, CPU], search)
    scheduler = Scheduler(dispatcher)
    controller = Controller(scheduler, dispatcher)
    trials = [
        SimpleNamespace(trial_id=name, status=status) for name, status in (("a", Trial.RUNNING), ("b", Trial.PENDING))
    ]
    for trial in trials:
        assert dispatcher.suggest(trial.trial_id)["pool"]["device"] == "cuda"
        scheduler.on_trial_add(controller, trial)
    return dispatcher, scheduler, controller, trials


def test_nothing_is_chosen_or_stopped_while_every_pool_is_there(given):
    _, scheduler, controller, _ = given
    assert scheduler.choose_trial_to_run(controller) is None
    assert controller.stopped == []


def test_a_trial_that_waits_for_a_pool_that_is_gone_goes_elsewhere_and_one_that_runs_is_left(given):
    dispatcher, scheduler, controller, _ = given
    dispatcher.resize([CPU])
    for _ in range(2):
        scheduler.choose_trial_to_run(controller)
    assert controller.stopped == ["b"]
    assert dispatcher.was_put_back("b")
    assert dispatcher.suggest("c")["pool"]["device"] == "cpu"


def test_only_trials_to_be_pruned_are_stopped(given):
    dispatcher, scheduler, controller, trials = given
    assert scheduler.on_trial_result(controller, trials[0], {"loss": 0.5}) == TrialScheduler.CONTINUE
    assert not dispatcher.was_pruned("a")
    assert scheduler.on_trial_result(controller, trials[0], {"loss": 2.0}) == TrialScheduler.STOP
    assert dispatcher.was_pruned("a")


def test_ended_trials_are_let_go(given):
    _, scheduler, controller, trials = given
    scheduler.on_trial_complete(controller, trials[0], {})
    scheduler.on_trial_error(controller, trials[1])
    assert scheduler._trials == {}
