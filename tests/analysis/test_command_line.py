"""What every command tells in a line."""

import warnings

import pytest

from analysis.command_line import EXIT_BAD_INPUT, command_line, warnings_in_lines
from analysis.report.__main__ import main
from study import run
from tests.analysis.frames.test_loading import of_recipe_1
from tests.analysis.synthetic import record, write_record
from tivae.config import TrialConfig

NOTE = (
    "note: 1 trials of recipe 1 are left out, as their numbers can't be compared with those of recipe 2; "
    "analysis.load(..., recipe=1) loads that one alone\n"
)


@pytest.fixture
def two_recipes(tmp_path):
    """A study with a trial of each recipe; warnings are not errors, as for users."""
    write_record(tmp_path, of_recipe_1(TrialConfig(epochs=1)))
    write_record(tmp_path, record(TrialConfig(seed=1, epochs=1)))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield tmp_path


def test_an_older_recipe_in_the_folder_is_one_line_of_the_report(two_recipes, capsys):
    assert main([str(two_recipes), "--no-figures"]) == 0
    assert capsys.readouterr().err == NOTE


def test_an_older_recipe_in_the_folder_is_one_line_of_a_run(two_recipes, capsys, monkeypatch):
    from study.storage.folder import Frames

    def written_twice(*_):
        for _ in range(2):
            Frames(two_recipes).write()
        return 0

    monkeypatch.setattr(run, "_run", written_twice)
    assert run.main(["paper_grid"]) == 0
    assert capsys.readouterr().err == NOTE


def test_warnings_are_shown_as_before_outside_of_the_block():
    before = warnings.showwarning
    with warnings_in_lines():
        assert warnings.showwarning is not before
    assert warnings.showwarning is before


@pytest.mark.parametrize("error", [ValueError("two\n lines"), OSError("two\n lines")])
def test_bad_input_is_one_line_and_exit_code_2(capsys, error):
    @command_line
    def refused(_=None):
        raise error

    assert refused([]) == EXIT_BAD_INPUT
    assert capsys.readouterr().err == "error: two lines\n"
