"""What is left to do, and in which order."""

import json

import pytest
import torch

from study.jobs import Job, Planned, plan
from study.monitor.progress import label
from tests.study.space_files import read_text
from tivae import records, stages
from tivae.config import TrialConfig
from tivae.io import checkpoint
from tivae.training.loop import epoch_file

NONE = stages.Wanted(measures="none")
VAE = TrialConfig()
CATEGORICAL = TrialConfig(model="categorical_vae")
BEHIND_STN = TrialConfig(stn="pretrained")
CATEGORICAL_BEHIND_STN = TrialConfig(stn="pretrained", model="categorical_vae")


def _write(folder, status):
    folder.mkdir(parents=True)
    content = {"format": records.FORMAT, "kind": folder.parent.name[:-1], "key": folder.name, "status": status}
    content |= {"config": {"seed": 0}, "metrics": {}, "epochs": [], "provenance": {}}
    (folder / records.RECORD).write_text(json.dumps(content))


def _write_stn(study):
    """The record and weights of `BEHIND_STN`'s; the path of the weights."""
    folder = records.stn_folder(study, BEHIND_STN.stn_key)
    _write(folder, "finished")
    checkpoint.save(folder / "stn.pt", {"weight": torch.zeros(100)})
    return folder / "stn.pt"


def test_each_stn_is_pretrained_once_and_first(tmp_path):
    other = TrialConfig(stn="pretrained", stn_epochs=5)
    jobs = plan([VAE, BEHIND_STN, CATEGORICAL_BEHIND_STN, other], tmp_path)
    assert [job.job_type for job in jobs] == ["stn", "stn", "trial", "trial", "trial", "trial"]
    assert [job.key for job in jobs[:2]] == [BEHIND_STN.stn_key, other.stn_key]


def test_finished_work_is_left_out_and_failed_work_is_not(tmp_path):
    _write(records.trial_folder(tmp_path, VAE.key), "finished")
    _write(records.trial_folder(tmp_path, CATEGORICAL.key), "failed")
    _write_stn(tmp_path)
    jobs = plan([VAE, CATEGORICAL, BEHIND_STN], tmp_path)
    assert {job.key for job in jobs} == {CATEGORICAL.key, BEHIND_STN.key}


def test_an_stn_whose_weights_are_gone_or_damaged_is_one_job_again(tmp_path):
    weights = _write_stn(tmp_path)
    weights.write_bytes(weights.read_bytes()[:-100])
    expected = [BEHIND_STN.stn_key, BEHIND_STN.key, CATEGORICAL_BEHIND_STN.key]
    assert sorted(job.key for job in plan([BEHIND_STN, CATEGORICAL_BEHIND_STN], tmp_path)) == sorted(expected)
    weights.unlink()
    assert len(plan([BEHIND_STN, CATEGORICAL_BEHIND_STN], tmp_path)) == 3


def test_an_stn_whose_trials_are_all_finished_is_not_pretrained_again(tmp_path):
    _write(records.trial_folder(tmp_path, BEHIND_STN.key), "finished")
    assert plan([BEHIND_STN], tmp_path) == []


def test_a_damaged_record_counts_as_unfinished(tmp_path):
    folder = records.trial_folder(tmp_path, VAE.key)
    folder.mkdir(parents=True)
    (folder / records.RECORD).write_bytes(b'{"format": 1, "status": "fin')
    assert [job.key for job in plan([VAE], tmp_path)] == [VAE.key]


def test_a_trial_with_a_damaged_file_is_read_out_again_and_one_without_is_not(tmp_path):
    for config in (VAE, CATEGORICAL):
        folder = records.trial_folder(tmp_path, config.key)
        _write(folder, "finished")
        checkpoint.save(folder / "encodings.pt", {"base": torch.zeros(100)})
    assert plan([VAE, CATEGORICAL], tmp_path) == []
    file = records.trial_folder(tmp_path, VAE.key) / "encodings.pt"
    file.write_bytes(file.read_bytes()[:-100])
    assert [job.key for job in plan([VAE, CATEGORICAL], tmp_path)] == [VAE.key]


def test_of_one_seed_the_longest_trials_start_first(tmp_path):
    short, long = TrialConfig(epochs=2, latent_dim=2), TrialConfig(epochs=40, latent_dim=3)
    assert [job.config for job in plan([short, VAE, long], tmp_path)] == [long, VAE, short]


def test_whole_grids_come_seed_by_seed_and_what_holds_up_the_end_before_them(tmp_path):
    grid = [
        TrialConfig(model=model, stn=stn, seed=seed)
        for model in ("vae", "categorical_vae")
        for stn in ("none", "pretrained")
        for seed in range(3)
    ]
    jobs = plan(grid, tmp_path)
    assert [job.config.seed for job in jobs] == [seed for seed in range(3) for _ in range(5)]
    assert [job.job_type for job in jobs] == ["stn", *["trial"] * 4] * 3

    first = TrialConfig(epochs=200, stn="pretrained", seed=2)
    jobs = plan([*grid, first], tmp_path)
    assert [job.key for job in jobs[:2]] == [first.stn_key, first.key]
    assert [job.config.seed for job in jobs[2:]] == [seed for seed in range(3) for _ in range(5 if seed < 2 else 3)]


def test_trials_of_one_training_are_one_job_that_counts_it_once(tmp_path):
    probed = [
        TrialConfig(probe=probe, epochs=epochs) for probe in ("logistic_regression", "linear_svm") for epochs in (5, 20)
    ]
    (job,) = plan([*probed, *probed], tmp_path)
    assert {trial.config for trial in job.trials} == set(probed)
    assert job.epochs == 20
    assert job.cost < 1.15 * Job("trial", VAE).cost
    assert label(job).endswith("4 readouts")


def test_a_grid_over_1_2_and_5_epochs_costs_5(host, tmp_path):
    settings = "{train_images: 100, test_images: 100, hidden_widths: [2]}"
    space = read_text(tmp_path, f"question: q?\nsettings: {settings}\nfactors: {{epochs: [1, 2, 5]}}\n")
    (job,) = plan(space.trials, tmp_path)
    assert (len(job.trials), job.epochs) == (3, 5)
    trained, workspace = [], stages.Workspace(host, "cpu", tmp_path)
    found = stages.run_trials([trial.config for trial in job.trials], workspace, trained.append, wanted=NONE)
    assert [row["epoch"] for row in trained] == [1, 2, 3, 4, 5]
    assert {len(record["epochs"]): record["status"] for record in found} == dict.fromkeys((1, 2, 5), "finished")
    planned = Planned(space.trials, tmp_path, "none")
    assert (planned.jobs, planned.finished, planned.why_trained_apart) == ([], list(space.trials), None)


def test_states_of_more_epochs_spare_none_of_those_before(tmp_path):
    long, short = TrialConfig(epochs=20), TrialConfig(epochs=5)
    file = records.training_folder(tmp_path, long.training_key) / "checkpoint.pt"
    for epochs in (3, 20):
        checkpoint.save(epoch_file(file, epochs), {"key": long.training_key, "rows": [{}] * epochs})
    assert [job.trained for job in plan([short], tmp_path)] == [3]
    assert [job.trained for job in plan([long], tmp_path)] == [20]
    assert [job.trained for job in plan([short, long], tmp_path)] == [18]


def test_trials_of_schedules_that_know_their_end_are_trained_apart(tmp_path):
    cosine = [TrialConfig(learning_rate_schedule="cosine", epochs=epochs) for epochs in (5, 20)]
    assert [job.epochs for job in plan(cosine, tmp_path)] == [20, 5]
    assert "each number of epochs is trained from the start" in Planned(cosine, tmp_path, "none").why_trained_apart
    control = TrialConfig(model="pixels", learning_rate_schedule="cosine")
    assert Planned([control], tmp_path, "none").why_trained_apart is None


def test_cost_grows_with_epochs_images_and_widths():
    def cost(**fields):
        return Job("trial", TrialConfig(**fields)).cost

    assert cost(epochs=40) == pytest.approx(2 * cost(epochs=20), rel=0.05)
    assert cost(train_images=30_000, test_images=5_000) == pytest.approx(cost() / 2)
    assert cost(hidden_widths=(64, 128, 256)) > 2.5 * cost()
    assert cost(stn="pretrained", train_dataset="augmented") > cost(train_dataset="augmented")


def test_cost_of_the_papers_vae_is_about_its_training_images():
    assert 1.0 <= Job("trial", VAE).cost / (20 * 60_000) <= 1.3


def test_jobs_name_the_folders_that_they_need():
    assert Job("trial", VAE).parts == [f"trainings/{VAE.training_key}", f"trials/{VAE.key}"]
    assert Job("stn", BEHIND_STN).parts == [f"stns/{BEHIND_STN.stn_key}"]
    parts = [f"stns/{BEHIND_STN.stn_key}", f"trainings/{BEHIND_STN.training_key}", f"trials/{BEHIND_STN.key}"]
    assert Job("trial", BEHIND_STN).parts == parts
    control, probed = TrialConfig(model="pixels"), TrialConfig(probe="linear_svm")
    assert Job("trial", control).parts == [f"trials/{control.key}"]
    both = [f"trainings/{VAE.training_key}", f"trials/{VAE.key}", f"trials/{probed.key}"]
    assert Job("trial", VAE, (probed,)).parts == both


def test_jobs_that_use_the_same_operations_are_alike():
    alike = [TrialConfig(seed=1), TrialConfig(latent_dim=3), TrialConfig(train_dataset="augmented")]
    assert {Job("trial", config).operations for config in alike} == {Job("trial", VAE).operations}
    other = [CATEGORICAL, BEHIND_STN, TrialConfig(stn="joint"), TrialConfig(consistency_weight=1.0)]
    kinds = {Job("trial", config).operations for config in [VAE, *other]} | {Job("stn", BEHIND_STN).operations}
    assert len(kinds) == 6


@pytest.mark.parametrize(
    "job",
    [Job("trial", CATEGORICAL_BEHIND_STN), Job("stn", BEHIND_STN), Job("trial", VAE, (TrialConfig(epochs=5),), 5)],
)
def test_a_job_survives_as_text(job):
    assert Job.from_text(job.to_text()) == job
    assert Job.from_text(job.to_text()).key == job.key
