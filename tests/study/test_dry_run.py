"""The expected time of a run."""

import re

import pytest

from study import dry_run
from study.dry_run import _levels, images_per_second, makespan
from study.engine.devices import machine
from study.jobs import Job
from study.run import main
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


def test_many_trials_are_factors_and_levels_and_no_list(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(dry_run, "images_per_second", lambda threads: 1000.0)
    monkeypatch.chdir(tmp_path)
    assert main(["full_factorial", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 25
    assert "train_dataset: base, augmented" in lines
    assert any(re.fullmatch(r"2 train_dataset x 2 model x .*: 216 trials of \d+ combinations", line) for line in lines)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("schedule", "lines"), [("cosine", 1), ("constant", 0)])
def test_it_explains_why_more_epochs_can_not_go_on(monkeypatch, capsys, tmp_path, schedule, lines):
    monkeypatch.setattr(dry_run, "images_per_second", lambda threads: 1000.0)
    monkeypatch.chdir(tmp_path)
    changes = [f"learning_rate_schedule={schedule}", "epochs=[1,2,5]", "model=vae", "stn=none", "train_dataset=base"]
    assert main(["paper_grid", "--dry-run", *(part for change in changes for part in ("--set", change))]) == 0
    printed = capsys.readouterr().out
    assert printed.count("cosine, which falls to 0 at the last epoch: each number of epochs is trained") == lines
    assert f"{3 if lines else 1} trainings, 3 readouts" in printed


def test_a_field_that_follows_from_another_is_no_factor():
    lines = list(
        _levels([TrialConfig(model=model, seed=seed) for model in ("vae", "categorical_vae") for seed in (0, 1)])
    )
    assert lines == ["model: vae, categorical_vae", "seed: 0, 1", "2 model x 2 seed: 4 trials"]
    assert list(_levels([TrialConfig()])) == []


def test_levels_are_in_the_order_of_their_size_and_what_is_not_there_last():
    configs = [TrialConfig(latent_dim=size) for size in (2, 100, 10)]
    configs += [TrialConfig(model="categorical_vae", latent_dim=1, categories=classes) for classes in (10, 5)]
    lines = list(_levels(configs))
    assert "latent_dim: 1, 2, 10, 100" in lines
    assert "categories: 5, 10, None" in lines
    lines = list(_levels([TrialConfig(probe="k_nearest", neighbours=count) for count in (20, 5)]))
    assert lines == ["neighbours: 5, 20", "2 neighbours: 2 trials"]
    lines = list(_levels([TrialConfig(probe=probe) for probe in (None, "k_nearest")]))
    assert not [line for line in lines if "neighbours" in line]
