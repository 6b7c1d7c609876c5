"""The typed options are those of the command line, with its defaults; a Ray job's do not lie in its working folder."""

import dataclasses
import os
from pathlib import Path

import pytest

from study import command_line
from study.options import OptionsError, RunOptions, outside_of_a_job


def test_every_option_of_the_command_line_has_a_type_and_its_default():
    given = vars(command_line.parser().parse_args([]))
    defaults = {item.name: getattr(RunOptions(), item.name) for item in dataclasses.fields(RunOptions)}
    defaults.pop("again")
    assert given.keys() == defaults.keys()
    assert {name: value or None for name, value in given.items()} == {
        name: value or None for name, value in defaults.items()
    }


def test_without_checkpoints_no_state_is_kept():
    assert RunOptions().wanted.keep
    given = vars(command_line.parser().parse_args(["paper_grid", "--no-checkpoints"]))
    assert not RunOptions(**given).wanted.keep


@pytest.fixture
def job(monkeypatch, tmp_path):
    """This process as that of a Ray job; gives its working folder."""
    folder, home = tmp_path / "working", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(folder)
    return folder


def test_a_job_leaves_its_working_folder_and_finds_its_files_there(job):
    (job / "mine.yaml").write_text("")
    options = RunOptions(space="mine.yaml", data=Path("images"), results_dir=Path("/results"))
    found = outside_of_a_job(options)
    assert (found.space, found.data) == (str(job / "mine.yaml"), job / "images")
    assert Path.cwd() == Path.home()
    assert outside_of_a_job(RunOptions(space="paper_grid", results_dir=Path("/results"))).space == "paper_grid"


def test_results_in_a_jobs_working_folder_are_refused(job):
    with pytest.raises(OptionsError, match="--results-dir is results, which is in the job's working folder"):
        outside_of_a_job(RunOptions())


def test_a_command_that_is_no_job_stays_where_it_is(job, monkeypatch):
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR")
    options = RunOptions(space="mine.yaml")
    assert outside_of_a_job(options) is options
    assert os.path.samefile(Path.cwd(), job)
