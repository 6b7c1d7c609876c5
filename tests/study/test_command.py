"""The command as a user gives it, with real workers, on a small part of the real data."""

import signal

import pytest

import analysis
from tests.study.clusters import SPACE
from tests.study.faults import Study, metrics, wait
from tests.waiting import HANG_SECONDS
from tivae import load


def small(folder):
    return Study(folder, SPACE, measures="standard")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run with one worker, and what it printed."""
    study = small(tmp_path_factory.mktemp("undisturbed"))
    return study, study.run("--max-concurrent", "1")


def test_it_ends_with_the_table_and_the_path_of_the_results(undisturbed):
    study, printed = undisturbed
    table = printed[printed.index("Ran for") :]
    assert "cat. VAE" in table
    assert " yes " in table
    assert str(study.folder) in table


def test_records_frames_and_weights_are_there(undisturbed):
    study = undisturbed[0].folder
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
    study, printed = undisturbed
    before = {path: path.stat().st_mtime_ns for path in study.folder.glob("trials/*/*")}
    again = study.run("--max-concurrent", "1")
    assert "4 of 4 trials are already finished" in again
    assert _table(again) == _table(printed)
    assert before == {path: path.stat().st_mtime_ns for path in study.folder.glob("trials/*/*")}


def test_killed_half_way_and_continued_equals_undisturbed_and_two_workers_equal_one(undisturbed, tmp_path):
    study = small(tmp_path)
    process = study.start()
    try:
        wait(lambda: list(study.folder.glob("trials/*/record.json")), process)
        assert process.poll() is None, process.stdout.read()
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=HANG_SECONDS)
    finally:
        process.kill()
    interrupted = study.metrics()
    if process.returncode != 0:
        assert process.returncode == 130, printed
        assert "python -m study.run" in printed.partition("To continue: ")[2]
        assert "Traceback" not in printed
    study.run()
    assert study.metrics() == undisturbed[0].metrics()
    assert interrupted.items() <= study.metrics().items()


def test_more_seeds_run_only_the_difference(undisturbed):
    printed = undisturbed[0].run("--seeds", "2", "--set", "stn=none")
    assert "2 of 4 trials are already finished" in printed
    assert "2 jobs on" in printed


def test_a_trial_that_fails_is_a_row_and_the_others_finish(undisturbed, tmp_path):
    changes = ("--set", "stn=none", "--set", "learning_rate=[0.001, 1.0e+30]")
    printed = small(tmp_path).run(*changes, "--name", "odd", code=1)
    assert printed.count("FAILED") == 2
    assert "NonFiniteLoss" in printed
    odd = tmp_path / "results" / "odd"
    trials = analysis.load(odd).trials
    assert sorted(trials["status"]) == ["failed", "failed", "finished", "finished"]
    assert trials.loc[trials["status"] == "failed", "error"].str.contains("at step").all()
    finished = {key: value for key, value in metrics(odd).items() if value[0] == "finished"}
    assert undisturbed[0].metrics().items() >= finished.items()


def _table(printed):
    return printed[printed.index("the paper's Table 1") : printed.index("Dataframes, records")]
