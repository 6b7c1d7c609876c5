"""A search as a user gives it: killed half-way and continued, with real workers and a small part of the real data."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from optuna.trial import TrialState

import analysis
from analysis.frames.search import JOURNAL
from tests.study.search.test_optuna_search import journal_of
from tests.waiting import HANG_SECONDS, until

ROOT = Path(__file__).resolve().parents[3]

SPACE = """
question: does a search work?
search: optuna
settings:
  {train_images: 300, test_images: 200, validation_images: 100, epochs: 3, stn_epochs: 1, train_dataset: augmented}
parameters:
  hidden_widths: [[4], [4, 8]]
  latent_dim: {log_range: [2, 20]}
  learning_rate: [1e-3, 1e+30]
  stn: [none, pretrained]
objectives: {validation_augmented_accuracy: maximise}
sampler: random
pruner: {name: median, startup: 1, after_epoch: 1}
trials: 7
start:
  - {hidden_widths: [4, 8], latent_dim: 20, learning_rate: 1e-3, stn: none}
  - {hidden_widths: [4, 8], latent_dim: 10, learning_rate: 1e+30, stn: pretrained}
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The folder after a run whose driver was killed, the records that had finished by then, and the next run."""
    folder = tmp_path_factory.mktemp("search")
    path = folder / "space.yaml"
    path.write_text(SPACE)
    command = [sys.executable, "-m", "study.run", str(path), "--results-dir", str(folder), "--no-report"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    study = folder / "space"
    until(lambda: _finished(study), lambda: process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = _finished(study)
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, cwd=ROOT)
    return study, before, done


def test_every_trial_ended_once_and_none_was_lost(searched):
    study, before, done = searched
    assert done.returncode == 1, done.stdout + done.stderr
    trials = journal_of(study).trials
    assert len(trials) == 7
    assert all(trial.state.is_finished() for trial in trials)
    assert before
    assert before.items() <= _finished(study).items()


def test_states_are_told_apart_alike_by_optuna_and_the_dataframe(searched):
    study = searched[0]
    states = {trial.user_attrs["key"]: trial.state for trial in journal_of(study).trials}
    named = {"finished": TrialState.COMPLETE, "failed": TrialState.FAIL, "pruned": TrialState.PRUNED}
    trials = analysis.load(study).trials
    assert {row.key: named[row.status] for row in trials.itertuples()} == states
    assert {"finished", "failed"} <= set(trials["status"])
    failed = trials[trials["status"] == "failed"]
    assert failed["error"].str.contains("NonFiniteLoss").all()


def test_objectives_are_those_of_the_records(searched):
    study = searched[0]
    trials = analysis.load(study).trials.set_index("key")
    complete = [trial for trial in journal_of(study).trials if trial.state == TrialState.COMPLETE]
    assert complete
    for trial in complete:
        row = trials.loc[trial.user_attrs["key"]]
        assert trial.value == row["validation_augmented_accuracy"]
        assert trial.user_attrs["test_augmented_accuracy"] == row["augmented_accuracy"]
        assert set(trial.intermediate_values) <= {1, 2, 3}
        assert 3 in trial.intermediate_values or 2 in trial.intermediate_values


def test_it_ends_with_the_best_trials_and_the_failures(searched):
    study, _, done = searched
    assert "Best trials of the search, by validation augmented accuracy" in done.stdout
    assert str(study / JOURNAL) in done.stdout
    assert "of 7 trials failed" in done.stderr


def _finished(study):
    records = {path: path.read_bytes() for path in study.glob("trials/*/record.json")}
    return {path: content for path, content in records.items() if b'"status": "finished"' in content}
