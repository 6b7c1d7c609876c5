"""What the command line offers and how it helps."""

import subprocess
import sys

import pytest

from study.command_line import parser, status_parser, version
from study.run import main
from tests.waiting import HANG_SECONDS


def test_help_is_in_groups_and_has_examples(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for title in ("information (nothing is run):", "what is run:", "where it runs:", "output:", "examples:"):
        assert f"\n{title}\n" in shown
    assert max(map(len, shown.splitlines())) <= 79


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--quik", "did you mean --quick?"), ("--xyz", "see --help"), ("--seed", "One seed is --set seed=5")],
)
def test_an_unknown_option_gets_the_nearest_one(option, expected, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["paper_grid", option])
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(("given", "meant"), [("cvae", "categorical_vae"), ("CVAE", "categorical_vae"), ("vea", "vae")])
def test_a_model_that_is_none_gets_the_nearest_one(given, meant, capsys):
    assert main(["paper_grid", "--set", f"model={given}"]) == 2
    assert f"did you mean `{meant}`?" in capsys.readouterr().err


def test_the_version_is_reported(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["--version"])
    assert capsys.readouterr().out == f"tivae {version()}\n"


@pytest.mark.parametrize("package", ["study", "analysis"])
def test_a_package_says_what_there_is(package):
    done = subprocess.run(
        [sys.executable, "-m", package], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    assert "python -m study" in done.stdout
    assert "python -m analysis" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 79


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--version"], 0), (["paper_grid", "--quik"], 2)])
def test_help_and_a_wrong_option_wait_for_no_import(arguments, code):
    """With the interpreter's own list of what it has imported."""
    command = [sys.executable, "-X", "importtime", "-m", "study.run", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode == code
    assert "argparse" in done.stderr
    assert not {"torch", "ray", "pandas"} & {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize("port", ["99999", "-1", "x"])
def test_what_is_no_port_is_refused(port, capsys):
    with pytest.raises(SystemExit) as error:
        status_parser().parse_args(["results/x", f"--serve={port}"])
    assert error.value.code == 2
    assert "a whole number from 0 to 65535" in capsys.readouterr().err
