"""Jobs are handed out in order, to free slots, and never before their STN is there."""

import heapq
import json
import math
from collections import Counter, deque
from pathlib import Path

import pytest
from ray.tune.search import Searcher

from study.engine.devices import Pool
from study.engine.dispatcher import MAX_RETRIES, Dispatcher
from study.jobs import Job, plan
from tivae.config import TrialConfig

CPU = Pool("cpu", {"CPU": 1}, 2)
GPU = Pool("cuda", {"GPU": 0.5}, 2)
PLAIN = [TrialConfig(latent_dim=size) for size in (2, 3, 4, 5)]
BEHIND_STN = [TrialConfig(stn="pretrained", latent_dim=size) for size in (2, 3)]
DONE = {"status": "finished"}


@pytest.fixture
def dispatcher(tmp_path):
    def build(trials, pools):
        return Dispatcher(plan(trials, tmp_path), pools)

    return build


def _kinds(dispatcher, count):
    given = [dispatcher.suggest(str(number)) for number in range(count)]
    return [_job(suggestion).job_type if suggestion else None for suggestion in given]


def _report(*rows):
    """What a worker reports of these epochs."""
    return {"rows": json.dumps(rows)}


def _job(suggestion):
    return Job.from_text(suggestion["job"])


def test_other_trials_do_not_wait_for_the_stn_and_its_own_do(dispatcher):
    searcher = dispatcher([*BEHIND_STN, *PLAIN], [Pool("cpu", {"CPU": 1}, 20)])
    assert _kinds(searcher, 6) == ["stn", "trial", "trial", "trial", "trial", None]
    searcher.on_trial_complete("0", DONE)
    later = [searcher.suggest(f"later {number}") for number in range(3)]
    assert [_job(suggestion).config.stn for suggestion in later[:2]] == ["pretrained"] * 2
    assert later[2] is None


@pytest.mark.parametrize(
    ("result", "error", "reason"),
    [
        ({"status": "failed", "error": "NonFiniteLoss: nan"}, False, "NonFiniteLoss: nan"),
        (None, True, "its worker died"),
        ({"epoch": 3}, False, "its worker died"),
    ],
)
def test_without_its_stn_a_trial_is_given_up_with_the_reason(dispatcher, result, error, reason):
    searcher = dispatcher([*BEHIND_STN, PLAIN[0]], [CPU])
    assert _kinds(searcher, 2) == ["stn", "trial"]
    searcher.on_trial_complete("0", result, error)
    for attempt in range(MAX_RETRIES if error else 0):
        assert _job(searcher.suggest(f"again {attempt}")).job_type == "stn"
        searcher.on_trial_complete(f"again {attempt}", result, error)
    searcher.on_trial_complete("1", DONE)
    given_up = searcher.given_up()
    assert {job.config.key for job, _ in given_up} == {config.key for config in BEHIND_STN}
    assert all(reason in text and BEHIND_STN[0].stn_key in text for _, text in given_up)
    assert searcher.suggest("next") == Searcher.FINISHED


def test_in_a_long_study_the_fastest_kind_is_filled_first_and_every_kind_is_used(dispatcher):
    searcher = dispatcher([TrialConfig(latent_dim=10, seed=seed) for seed in range(500)], [GPU, CPU])
    devices = [searcher.suggest(str(number))["pool"]["device"] for number in range(4)]
    assert devices == ["cuda", "cuda", "cpu", "cpu"]


def test_a_slow_kind_does_not_hold_up_the_end(dispatcher):
    searcher = dispatcher(PLAIN, [GPU, CPU])
    assert [(searcher.suggest(str(number)) or {}).get("pool", {}).get("device") for number in range(3)] == [
        *("cuda", "cuda"),
        None,
    ]


def _makespan(searcher, slots, speeds):
    """Seconds until all jobs have ended, when slots of each kind of device work at `speeds`, in cost per second."""
    free, events, now, number = Counter(slots), [], 0.0, 0
    queue = {device: deque() for device in slots}
    while True:
        suggestion = searcher.suggest(str(number))
        if isinstance(suggestion, dict):
            queue[suggestion["pool"]["device"]].append(str(number))
            number += 1
        for device, waiting in queue.items():
            while waiting and free[device]:
                free[device] -= 1
                trial = waiting.popleft()
                heapq.heappush(events, (now + searcher.job(trial).cost / speeds[device], trial, device))
        if isinstance(suggestion, dict):
            continue
        if not events:
            return now
        now, trial, device = heapq.heappop(events)
        job = searcher.job(trial)
        searcher.on_trial_result(trial, _report({"wall_seconds": job.cost / job.epochs / speeds[device]}))
        searcher.on_trial_complete(trial, DONE)
        free[device] += 1


@pytest.mark.parametrize("trials", [8, 40, 200])
@pytest.mark.parametrize("speeds", [{"cuda": 2e3, "cpu": 1e3}, {"cuda": 2e4, "cpu": 1e3}, {"cuda": 5e4, "cpu": 5e2}])
def test_neither_a_slow_nor_a_fast_kind_is_left_idle_or_waited_for(dispatcher, trials, speeds):
    jobs = [TrialConfig(seed=seed) for seed in range(trials)]
    took = _makespan(dispatcher(jobs, [GPU, CPU]), {"cuda": 2, "cpu": 2}, speeds)
    cost = plan(jobs[:1], Path("nowhere"))[0].cost
    ideal = trials * cost / (2 * sum(speeds.values()))
    # No schedule can avoid that the last trial of each slot ends when it ends.
    last = cost / speeds["cuda"]
    alone = math.ceil(trials / 2) * cost / speeds["cuda"]
    assert took <= min(1.1 * ideal + 2 * last, 1.001 * alone)


def test_no_more_jobs_are_given_out_than_there_are_slots(dispatcher):
    """Ray may have room for more: of CPUs that `--max-concurrent` leaves idle, or that stand by for a GPU."""
    searcher = dispatcher([TrialConfig(latent_dim=size) for size in range(2, 12)], [CPU])
    assert _kinds(searcher, 3) == ["trial", "trial", None]
    searcher.on_trial_complete("0", DONE)
    assert _job(searcher.suggest("next")).job_type == "trial"


def test_one_job_more_is_held_where_ray_has_no_room_to_start_it(dispatcher):
    full = Pool("cpu", {"CPU": 1}, 2, is_full=True)
    searcher = dispatcher([TrialConfig(latent_dim=size) for size in range(2, 12)], [full])
    assert _kinds(searcher, 4) == ["trial", "trial", "trial", None]
    last = dispatcher(PLAIN, [full])
    assert _kinds(last, 3) == ["trial", "trial", None], "the last jobs do not queue behind one pool"


def test_every_job_is_given_out_exactly_once(dispatcher):
    searcher = dispatcher([*PLAIN, *BEHIND_STN], [CPU])
    keys, running, number = [], [], 0
    while (suggestion := searcher.suggest(str(number))) != Searcher.FINISHED:
        if suggestion is None:
            searcher.on_trial_complete(running.pop(0), DONE)
            continue
        running.append(str(number))
        keys.append(searcher.job(str(number)).key)
        number += 1
    assert sorted(keys) == sorted([BEHIND_STN[0].stn_key, *(config.key for config in [*PLAIN, *BEHIND_STN])])


def test_a_job_whose_worker_died_is_given_out_again_elsewhere(dispatcher):
    searcher = dispatcher([PLAIN[0]], [CPU])
    given = searcher.suggest("first")
    searcher.on_trial_complete("first", error=True)
    assert searcher.was_put_back("first")
    assert searcher.suggest("second") == given
    searcher.on_trial_complete("second", DONE)
    assert not searcher.was_put_back("second")
    assert searcher.suggest("third") == Searcher.FINISHED


def test_the_study_is_not_over_while_a_job_may_come_back(dispatcher):
    searcher = dispatcher([PLAIN[0]], [CPU])
    assert searcher.suggest("first")
    assert searcher.suggest("too early") is None


def test_a_job_whose_workers_die_again_and_again_is_not_run_for_ever(dispatcher):
    searcher = dispatcher([PLAIN[0]], [CPU])
    for attempt in range(MAX_RETRIES + 1):
        assert searcher.suggest(str(attempt))["job"]
        searcher.on_trial_complete(str(attempt), error=True)
    assert not searcher.was_put_back(str(MAX_RETRIES))
    assert searcher.suggest("last") == Searcher.FINISHED


def test_deaths_that_epochs_came_between_are_not_counted(dispatcher):
    searcher = dispatcher([PLAIN[0]], [CPU])
    for attempt in range(3 * MAX_RETRIES):
        assert searcher.suggest(str(attempt))["job"]
        searcher.on_trial_result(str(attempt), _report({"epoch": attempt, "wall_seconds": 1.0}))
        searcher.on_trial_complete(str(attempt), error=True)
        assert searcher.was_put_back(str(attempt))


def test_what_a_device_lacks_goes_to_another_and_is_not_tried_there_again(dispatcher):
    joint = [TrialConfig(stn="joint", latent_dim=size) for size in (2, 3)]
    searcher = dispatcher([*joint, *PLAIN, *(TrialConfig(seed=seed) for seed in range(1, 90))], [GPU, CPU])
    kinds = {number: searcher.suggest(str(number))["pool"]["device"] for number in range(2)}
    assert set(kinds.values()) == {"cuda"}
    assert searcher.job("0").config.stn == searcher.job("1").config.stn == "joint"
    for number in kinds:
        searcher.on_trial_complete(str(number), {"status": "unsupported", "error": "no backward"})
        assert searcher.was_put_back(str(number))
    later = [searcher.suggest(f"later {number}") for number in range(4)]
    places = [(_job(given).config.stn, given["pool"]["device"]) for given in later]
    assert sorted(places) == [("joint", "cpu"), ("joint", "cpu"), ("none", "cuda"), ("none", "cuda")]


def test_a_node_that_lacks_something_is_left_out_and_others_with_such_a_device_are_not(dispatcher):
    first, second = (Pool("cuda", {"GPU": 1}, 1, node=name, host=name) for name in ("first", "second"))
    searcher = dispatcher([TrialConfig(stn="joint", seed=seed) for seed in range(3)], [first, second])
    given = searcher.suggest("0")["pool"]
    searcher.on_trial_complete("0", {"status": "unsupported", "error": "an old driver"})
    assert searcher.was_put_back("0")
    again = searcher.suggest("1")["pool"]
    assert {given["node"], again["node"]} == {"first", "second"}
    assert searcher.suggest("2") is None


def test_a_job_whose_worker_died_goes_to_another_node_where_it_can(dispatcher):
    pools = [Pool("cuda", {"GPU": 1}, 1, node="first"), Pool("cpu", {"CPU": 1}, 1, node="second")]
    searcher = dispatcher([PLAIN[0]], pools)
    assert searcher.suggest("0")["pool"]["device"] == "cuda"
    searcher.on_trial_complete("0", error=True)
    assert searcher.suggest("1")["pool"]["device"] == "cpu"
    searcher.on_trial_complete("1", error=True)
    assert searcher.suggest("2")["pool"]["device"] == "cuda", "both have failed it: the faster is tried again"


def test_nodes_of_one_type_are_filled_alike_and_an_old_one_does_not_hold_up_the_end(dispatcher):
    fast, slow = (Pool("cuda", {"GPU": 1}, 1, node=name) for name in ("fast", "slow"))
    searcher = dispatcher([TrialConfig(seed=seed) for seed in range(4)], [slow, fast])
    given = {trial: searcher.suggest(trial)["pool"]["node"] for trial in ("0", "1")}
    for trial, node in given.items():
        job, speed = searcher.job(trial), {"slow": 1e3, "fast": 2e4}[node]
        searcher.on_trial_result(trial, _report({"wall_seconds": job.cost / job.epochs / speed}))
        searcher.on_trial_complete(trial, DONE)
    assert searcher.suggest("2")["pool"]["node"] == "fast"
    assert searcher.suggest("3") is None, "the fast one has ended both before the slow one has ended one"


def test_what_no_device_can_run_is_given_up_with_the_reason(dispatcher):
    searcher = dispatcher([TrialConfig(stn="joint"), TrialConfig(stn="joint", latent_dim=20), PLAIN[0]], [GPU])
    assert [_job(searcher.suggest(str(number))).config.stn for number in range(2)] == ["joint", "joint"]
    searcher.on_trial_complete("0", {"status": "unsupported", "error": "no backward"})
    assert not searcher.was_put_back("0"), "its own end tells of it"
    searcher.on_trial_complete("1", {"status": "unsupported", "error": "no backward"})
    assert _job(searcher.suggest("2")).config.stn == "none"
    assert searcher.given_up() == []


def test_a_pool_that_grows_gets_more_at_once(dispatcher):
    searcher = dispatcher([TrialConfig(seed=seed) for seed in range(20)], [CPU])
    assert _kinds(searcher, 3) == ["trial", "trial", None]
    searcher.resize([Pool("cpu", {"CPU": 1}, 4)])
    assert [bool(searcher.suggest(f"more {number}")) for number in range(3)] == [True, True, False]


def test_jobs_that_wait_for_a_kind_that_is_gone_go_elsewhere(dispatcher):
    searcher = dispatcher([TrialConfig(seed=seed) for seed in range(500)], [GPU, CPU])
    kinds = [searcher.suggest(str(number))["pool"]["device"] for number in range(4)]
    assert kinds == ["cuda", "cuda", "cpu", "cpu"]
    searcher.resize([CPU])
    assert searcher.stranded() == ["0", "1"]
    searcher.withdraw("0")
    searcher.on_trial_complete("0")
    assert searcher.was_put_back("0")
    searcher.on_trial_complete("2", DONE)
    given = searcher.suggest("next")
    assert given["pool"]["device"] == "cpu"


def test_without_any_pool_the_study_ends_when_nothing_runs(dispatcher):
    searcher = dispatcher(PLAIN, [CPU])
    assert _kinds(searcher, 2) == ["trial", "trial"]
    searcher.resize([])
    assert searcher.suggest("waits") is None
    for number in range(2):
        searcher.on_trial_complete(str(number), error=True)
    assert searcher.suggest("over") == Searcher.FINISHED
    assert searcher.left == 4


@pytest.mark.parametrize(("slots", "seconds"), [(2, 0.2), (50, 5.0), (1000, 10.0)])
def test_workers_report_the_less_often_the_more_there_are(dispatcher, slots, seconds):
    searcher = dispatcher(PLAIN, [Pool("cpu", {"CPU": 1}, slots)])
    assert searcher.suggest("0")["report_seconds"] == pytest.approx(seconds)


def test_with_all_slots_taken_nothing_is_looked_through(dispatcher, monkeypatch):
    """Tune asks after each report, and ten thousand jobs may wait."""
    searcher = dispatcher([TrialConfig(seed=seed) for seed in range(5)], [CPU])
    assert _kinds(searcher, 3) == ["trial", "trial", None]
    monkeypatch.setattr(searcher, "_ready", lambda: pytest.fail("it looked"))
    assert searcher.suggest("3") is None


def test_trials_on_a_node_that_has_left_are_stranded_until_they_end(dispatcher):
    gone, stays = (Pool("cpu", {"CPU": 1}, 1, node=name) for name in ("gone", "stays"))
    searcher = dispatcher(PLAIN, [gone, stays])
    assert _kinds(searcher, 2) == ["trial", "trial"]
    assert searcher.stranded() == []
    searcher.resize([stays])
    assert searcher.stranded() == ["0"]
    searcher.on_trial_complete("0", error=True)
    assert searcher.stranded() == []
