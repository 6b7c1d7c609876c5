"""The expected time of a run."""

import pytest

from study.dry_run import images_per_second, makespan
from study.engine.devices import machine
from study.jobs import Job
from tivae.config import TrialConfig

JOBS = [Job("trial", TrialConfig(epochs=epochs)) for epochs in (40, 30, 20, 10)]


def test_one_slot_does_all_one_after_the_other():
    assert makespan(JOBS, 1) == pytest.approx(sum(job.cost for job in JOBS))


def test_two_slots_share_the_work():
    costs = [job.cost for job in JOBS]
    assert makespan(JOBS, 2) == pytest.approx(max(costs[0] + costs[3], costs[1] + costs[2]))


def test_more_slots_than_jobs_take_as_long_as_the_longest():
    assert makespan(JOBS, 9) == pytest.approx(JOBS[0].cost)


def test_nothing_to_do_takes_no_time():
    assert makespan([], 3) == 0


def test_the_machine_has_cpus_and_some_speed():
    assert machine().cpus >= 1
    assert 10 < images_per_second(1) < 1e6
