"""The command as a user gives it, with real workers, on a small part of the real data."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import analysis
from tests.waiting import HANG_SECONDS, until
from tivae import TrialConfig, load, stages

SPACE = """
question: does the whole way work?
factors:
  model: [vae, categorical_vae]
  stn: [none, pretrained]
settings:
  {train_images: 300, test_images: 200, epochs: 2, stn_epochs: 1, hidden_widths: [4, 8], train_dataset: augmented}
"""


def command(folder, *arguments):
    """The command line for the space above, with its results in `folder`."""
    path = folder / "small.yaml"
    if not path.exists():
        path.write_text(SPACE)
    return [sys.executable, "-m", "study.run", str(path), "--results-dir", str(folder / "results"), *arguments]


def run(folder, *arguments, code=0):
    """Runs the command and returns what it printed."""
    arguments = (*arguments, "--no-report")
    done = subprocess.run(command(folder, *arguments), capture_output=True, text=True, timeout=HANG_SECONDS, cwd=ROOT)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def metrics(study):
    """Metrics and epochs of each trial, without what depends on time and place."""
    found = {}
    for path in sorted((study / "trials").glob("*/record.json")):
        record = json.loads(path.read_text())
        times = ("wall_seconds", "images_per_second")
        epochs = [{name: value for name, value in row.items() if name not in times} for row in record["epochs"]]
        found[record["key"]] = (record["status"], record["metrics"], epochs)
    return found


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run with one worker, its folder and what it printed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, run(folder, "--max-concurrent", "1")


def test_it_ends_with_the_table_and_the_path_of_the_results(undisturbed):
    folder, printed = undisturbed
    table = printed[printed.index("Ran for") :]
    assert "cat. VAE" in table
    assert " yes " in table
    assert str(folder / "results" / "small") in table


def test_records_frames_and_weights_are_there(undisturbed):
    study = undisturbed[0] / "results" / "small"
    frames = analysis.load(study)
    assert list(frames.trials["status"]) == ["finished"] * 4
    assert len(frames.epochs) == 8
    for suffix in ("csv", "parquet"):
        assert (study / f"trials.{suffix}").stat().st_size > 500
        assert (study / f"epochs.{suffix}").stat().st_size > 500
    for folder in (study / "trials").iterdir():
        assert not (folder / "checkpoint.pt").exists()
        assert load(folder).sample(2).shape == (2, 28, 28)
    assert len(list((study / "stns").iterdir())) == 1, "one STN serves both models"


def test_the_same_command_again_runs_nothing_and_shows_the_table(undisturbed):
    folder, printed = undisturbed
    before = {path: path.stat().st_mtime_ns for path in folder.glob("results/small/trials/*/*")}
    again = run(folder, "--max-concurrent", "1")
    assert "4 of 4 trials are already finished" in again
    assert _table(again) == _table(printed)
    assert before == {path: path.stat().st_mtime_ns for path in folder.glob("results/small/trials/*/*")}


def test_killed_half_way_and_continued_equals_undisturbed_and_two_workers_equal_one(undisturbed, tmp_path):
    process = subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    study = tmp_path / "results" / "small"
    try:
        _wait(lambda: list(study.glob("trials/*/record.json")), process)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=HANG_SECONDS)
    finally:
        process.kill()
    interrupted = metrics(study)
    if process.returncode != 0:
        assert process.returncode == 130, printed
        assert "python -m study.run" in printed.partition("To continue: ")[2]
        assert "Traceback" not in printed
    printed = run(tmp_path)
    assert metrics(study) == metrics(undisturbed[0] / "results" / "small")
    assert interrupted.items() <= metrics(study).items()


def test_more_seeds_run_only_the_difference(undisturbed):
    folder, _ = undisturbed
    printed = run(folder, "--seeds", "2", "--set", "stn=none")
    assert "2 of 4 trials are already finished" in printed
    assert "2 jobs on" in printed


def test_a_trial_that_fails_is_a_row_and_the_others_finish(undisturbed, tmp_path):
    printed = run(tmp_path, "--set", "stn=none", "--set", "learning_rate=[0.001, 1.0e+30]", "--name", "odd", code=1)
    assert printed.count("FAILED") == 2
    assert "NonFiniteLoss" in printed
    trials = analysis.load(tmp_path / "results" / "odd").trials
    assert sorted(trials["status"]) == ["failed", "failed", "finished", "finished"]
    assert trials.loc[trials["status"] == "failed", "error"].str.contains("at step").all()
    assert (
        metrics(undisturbed[0] / "results" / "small").items()
        >= {
            key: value for key, value in metrics(tmp_path / "results" / "odd").items() if value[0] == "finished"
        }.items()
    )


@pytest.mark.slow  # workers killed at ten moments are in test_faults
def test_a_killed_worker_is_replaced_and_the_figures_are_those_of_the_trial_alone(host, tmp_path):
    changes = ("--set", "stn=none", "--set", "model=vae", "--set", "epochs=80")
    process = subprocess.Popen(
        command(tmp_path, *changes), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )
    study = tmp_path / "results" / "small"
    try:
        _wait(lambda: list(study.glob("trainings/*/checkpoint.pt")), process)
        workers = [child for child in psutil.Process(process.pid).children(recursive=True) if _is_worker(child)]
        assert workers
        for worker in workers:
            worker.kill()
        printed, _ = process.communicate(timeout=HANG_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, printed
    (path,) = study.glob("trials/*/record.json")
    record = json.loads(path.read_text())
    assert record["provenance"]["resumed"] == 1
    alone = tmp_path / "alone"
    stages.run_trial(TrialConfig.from_dict(record["config"]), host, "cpu", alone)
    assert metrics(study) == metrics(alone)


def _table(printed):
    return printed[printed.index("the paper's Table 1") : printed.index("Dataframes, records")]


def _is_worker(process):
    try:
        return "ray::ImplicitFunc" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _wait(condition, process):
    until(condition, lambda: process.poll() is not None)
    assert process.poll() is None, process.stdout.read()
