"""Which of Tune's trials are stopped, and how many events are taken at once."""

import json
from types import SimpleNamespace

import pytest
from ray.air.execution._internal import actor_manager, event_manager
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from study.engine import scheduler
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


class Search:
    """One that asks for nothing, and gives up by `loss`."""

    left, intermediate, ask = 0, "loss", list

    def __init__(self):
        self.seen = []

    def should_prune(self, job, row):
        self.seen.append(row["epoch"])
        return row["loss"] > 1


def report(*losses, **more):
    """What a worker reports of epochs with these losses."""
    return {"rows": json.dumps([{"epoch": epoch, "loss": loss} for epoch, loss in enumerate(losses, 1)])} | more


@pytest.fixture
def given(tmp_path):
    """Two trials on the GPU, one running and one pending, and a search that gives up by `loss`."""
    dispatcher = Dispatcher(plan([TrialConfig(seed=seed) for seed in range(9)], tmp_path), [GPU, CPU], Search())
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
    assert scheduler.on_trial_result(controller, trials[0], report(0.5)) == TrialScheduler.CONTINUE
    assert dispatcher.pruned_after("a") is None
    assert scheduler.on_trial_result(controller, trials[0], report(0.5, 2.0, 3.0)) == TrialScheduler.STOP
    assert dispatcher.pruned_after("a") == 2, "of several epochs in a report the first that is given up counts"
    assert dispatcher._search.seen == [1, 1, 2]


def test_a_trial_that_has_finished_before_it_was_given_up_stays_finished(given):
    dispatcher, scheduler, controller, trials = given
    last = report(2.0, status="finished")
    assert scheduler.on_trial_result(controller, trials[0], last) == TrialScheduler.CONTINUE
    assert dispatcher.pruned_after("a") is None


def test_ended_trials_are_let_go(given):
    _, scheduler, controller, trials = given
    scheduler.on_trial_complete(controller, trials[0], {})
    scheduler.on_trial_error(controller, trials[1])
    assert scheduler._trials == {}


class Futures:
    """Stands for Ray's: what has come, and how often it was asked."""

    def __init__(self):
        self.ready, self.asked = set(), 0

    def wait(self, futures, num_returns, timeout):
        self.asked += 1
        found = [future for future in futures if future in self.ready][:num_returns]
        return found, [future for future in futures if future not in found]


@pytest.fixture
def futures(monkeypatch):
    found = Futures()
    for module in (scheduler, actor_manager):
        monkeypatch.setattr(module.ray, "wait", found.wait)
    monkeypatch.setattr(event_manager.ray, "get", lambda future: future)
    return found


@pytest.fixture
def manager(futures):
    return scheduler.ActorManager(SimpleNamespace(get_resource_futures=list))


@pytest.mark.parametrize(("count", "at_once"), [(40, 1), (200, 30)])
def test_with_many_workers_all_events_that_are_there_are_taken_at_once(futures, manager, count, at_once):
    seen = []
    for number in range(count):
        manager._actor_task_events.track_future(number, on_result=seen.append)
    futures.ready = set(range(30))
    assert manager.next(0.1)
    assert len(seen) == at_once
    while manager._actor_task_events.num_futures > count - 30:
        assert manager.next(0.1)
    assert sorted(seen) == list(range(30))
    futures.ready = set()
    assert not manager.next(0.1)


def test_an_event_that_another_has_done_away_with_is_left_out(futures, manager):
    seen = []
    events = manager._actor_task_events

    def take(future):
        seen.append(future)
        for other in range(100):
            events.discard_future(other)

    for number in range(100):
        events.track_future(number, on_result=take)
    futures.ready = set(range(100))
    assert manager.next(0.1)
    assert len(seen) == 1
