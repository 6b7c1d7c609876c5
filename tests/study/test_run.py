"""The command line, in this process: what needs no worker."""

import re

import pytest

from study import dry_run, run, signals
from study.options import RunOptions
from study.run import EXIT_BAD_INPUT, main
from study.space import search_space
from study.space.quick import QUICK_TRIALS
from study.storage.remote import StorageError
from tests.analysis.synthetic import write_study


@pytest.fixture
def refused(capsys, tmp_path):
    """Runs a command that must be refused, and returns its one line."""

    def call(*arguments):
        code = main([*arguments, "--results-dir", str(tmp_path / "results")])
        captured = capsys.readouterr()
        assert code == EXIT_BAD_INPUT
        assert captured.err.count("\n") == 1, captured.err
        assert captured.err.startswith("error: ")
        assert not list(tmp_path.glob("results/*/trials"))
        return captured.err

    return call


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "no search space is given; it must be one of .*paper_grid"),
        (["papergrid"], "no search space `papergrid`; did you mean `paper_grid`"),
        (["paper_grid", "--set", "epoch=3"], "`epoch` is not a field of a trial; did you mean `epochs`"),
        (["paper_grid", "--set", "epochs=-1"], "`epochs` is -1; it must be a whole number at least 1"),
        (["paper_grid", "--set", "epochs"], "`epochs` is not of the form name=value"),
        (["paper_grid", "--set", "model=resnet"], "`model` is 'resnet'; it must be vae or categorical_vae"),
        (["paper_grid", "--trials", "3"], "--trials is 3, but paper_grid is a grid"),
        (["paper_grid", "--seeds", "0"], "`seeds` is 0; it must be a count"),
        (["paper_grid", "--seeds", "-2"], "`seeds` is -2; it must be a count"),
        (["paper_grid", "--name", "../elsewhere"], "--name is '../elsewhere'; it must be 1 to 100 of A-Z"),
        (["paper_grid", "--name", ""], "--name is ''; it must be 1 to 100 of A-Z"),
        (["paper_grid", "--set", "epochs=1", "--set", "epochs=2"], "--set epochs is given twice; give it once"),
        (
            ["paper_grid", "--set", "seeds=3"],
            "`seeds` is not a field of a trial; it stands beside .* --seeds",
        ),
        (["paper_grid", "--dashboard", "--address", "auto"], "a cluster's dashboard is on its head, port 8265"),
        (["paper_grid", "--storage", ""], "--storage is empty; it must be a folder"),
        (["paper_grid", "--data", "/nowhere"], "/nowhere"),
        (["paper_grid", "--address", "head"], "--address is 'head'; it must be auto, or host:port"),
        (["paper_grid", "--address", "127.0.0.1:1"], "no Ray cluster answers at --address 127.0.0.1:1 .*; start one"),
        (["paper_grid", "--storage", "nosuch://x"], "--storage nosuch://x.* is not usable"),
        (["paper_grid", "--cpus-per-trial", "100000", "--dry-run"], "--cpus-per-trial is 100000, more than"),
    ],
)
def test_bad_input_is_reported_in_one_line(refused, arguments, expected):
    assert re.search(expected, refused(*arguments))


@pytest.mark.parametrize(
    "text", ["", "- a\n- b\n", "factors: [", "factors: {model: []}", "factors: {modle: [vae]}", "\x00"]
)
def test_a_bad_file_is_reported_in_one_line(refused, tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert "mine.yaml" in refused(str(path))


def test_results_that_are_a_file_are_not_written_over(capsys, tmp_path):
    (tmp_path / "results").write_text("mine")
    assert main(["paper_grid", "--results-dir", str(tmp_path / "results")]) == EXIT_BAD_INPUT
    assert "--results-dir" in capsys.readouterr().err
    assert (tmp_path / "results").read_text() == "mine"


@pytest.mark.parametrize("arguments", [["paper_grid", "--max-concurrent", "0"], ["paper_grid", "--unknown"]])
def test_the_parser_exits_with_2_too(arguments):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == EXIT_BAD_INPUT


def test_list_names_every_space_with_its_question(capsys):
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    for path in search_space.available():
        assert f"{path.stem} " in listed
        assert search_space.read(path).question[:60] in listed


def test_a_dry_run_shows_every_job_and_writes_nothing(capsys, tmp_path):
    results = tmp_path / "results"
    assert main(["paper_grid", "--seeds", "2", "--dry-run", "--results-dir", str(results)]) == 0
    shown = capsys.readouterr().out
    trials = search_space.read(search_space.find("paper_grid"), seeds=2).trials
    assert all(config.key in shown for config in trials)
    assert "16 trials, 0 of them already finished\n" in shown
    assert "to run: 2 STN pretrainings, 16 trainings, 16 readouts\n" in shown
    assert "expected time" in shown
    assert not results.exists()


def test_a_dry_run_counts_what_studies_beside_it_have_and_one_seed_by_itself(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(dry_run, "images_per_second", lambda threads: 1_000.0)
    trials = search_space.read(search_space.find("paper_grid"), seeds=2).trials
    write_study(tmp_path / "results" / "other", trials[:3], lambda *_: {})
    arguments = ["paper_grid", "--dry-run", "--measures", "none", "--results-dir", str(tmp_path / "results")]
    assert main([*arguments, "--seeds", "2"]) == 0
    assert "16 trials, 3 of them already finished\n" in capsys.readouterr().out
    one = ["--set", "model=vae", "--set", "stn=none", "--set", "train_dataset=augmented"]
    assert main([*arguments, "--seeds", "3", *one, "--max-concurrent", "3"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"about (.+)\n", shown)[1] == re.search(r"one seed of all cells: (.+)\n", shown)[1]


def test_a_quick_run_has_a_name_of_its_own_and_what_is_given_beside_it_wins(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(dry_run, "images_per_second", lambda threads: 1_000.0)
    given = ["--seeds", "3", "--set", "epochs=4"]
    assert main(["paper_grid", "--quick", *given, "--dry-run", "--results-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("paper_grid-quick: ")
    assert "QUICK VERSION: 6,000 training images, 2,000 test images, 4 epochs, 2 epochs of the STN, 3 seeds." in shown
    for given, trials in (({"trials": 80}, 80), ({"quick": True}, QUICK_TRIALS), ({"quick": True, "trials": 80}, 80)):
        assert run._space(RunOptions(space="optuna_latent", **given)).search.trials == trials


def test_what_no_trial_uses_is_said(capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("settings: {model: vae, neighbours: 5}\nfactors: {categories: [5, 10]}\n")
    assert main([str(path), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "note: `categories` is given, but none of these trials uses it\n" in shown
    assert "note: `neighbours` is given" in shown
    assert main(["paper_grid", "--dry-run"]) == 0
    assert "note: " not in capsys.readouterr().out


def test_an_unreadable_file_hides_no_other_in_the_list(capsys, tmp_path, monkeypatch):
    (tmp_path / "bad.yaml").write_text("setings: {}\n")
    (tmp_path / "good.yaml").write_text("question: Is it good?\nsettings: {model: vae}\n")
    monkeypatch.setattr(search_space, "FOLDER", tmp_path)
    assert main(["--list"]) == 0
    bad, good = capsys.readouterr().out.splitlines()
    assert bad.startswith("bad                can't be read: `setings` is unknown")
    assert good.endswith("1 trials  Is it good?")


@pytest.mark.parametrize(("environment", "begin"), [({"UV": "/bin/uv"}, "uv run python"), ({}, "python")])
def test_the_line_that_continues_repeats_the_command(monkeypatch, environment, begin):
    monkeypatch.setattr(signals.os, "environ", environment)
    assert run._command(["paper_grid", "--set", "hidden_widths=[8, 16]"]) == (
        f"{begin} -m study.run paper_grid --set 'hidden_widths=[8, 16]'"
    )


def test_the_command_that_continues_and_errors_show_no_secret(monkeypatch, capsys):
    arguments = ["paper_grid", "--storage", "s3://me:hunter2@bucket/x", "--mlflow", "http://hunter2@host"]

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_run", interrupted)
    assert run.main(arguments) == 130
    printed = capsys.readouterr().err
    assert "--storage 's3://***@bucket/x' --mlflow 'http://***@host'" in printed
    assert "hunter2" not in printed

    def refused(*_):
        raise StorageError("s3://me:hunter2@bucket/x is not there")

    monkeypatch.setattr(run, "_run", refused)
    assert run.main(arguments) == 2
    assert capsys.readouterr().err == "error: s3://***@bucket/x is not there\n"


def test_a_name_that_no_kernels_have_is_refused(refused, monkeypatch):
    monkeypatch.setenv("TIVAE_KERNELS", "troch")
    assert "TIVAE_KERNELS is 'troch'; it must be native, torch or compiled" in refused("paper_grid", "--dry-run")
