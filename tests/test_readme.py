"""What the README and its guides name is there."""

import re
from pathlib import Path

import pytest

from study.run import main
from study.space import search_space
from tivae.config import FIELD_NAMES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PROMISES = (ROOT / "tests/README.md").read_text()
CLUSTER = (ROOT / "study/CLUSTER.md").read_text()
TESTS = "\n".join(path.read_text() for path in sorted(ROOT.glob("tests/**/test_*.py")))
SPACES = sorted(path.stem for path in search_space.available())


def test_every_test_that_shows_a_promise_exists():
    named = re.findall(r"`(test_\w+)`", PROMISES.partition("## What is guaranteed")[2])
    assert len(named) > 10
    assert [name for name in named if f"def {name}(" not in TESTS] == []


def test_every_path_exists():
    paths = re.findall(r"(?:study|tivae|analysis|search_spaces|tests)/[\w./]+\w", README + PROMISES + CLUSTER)
    assert len(paths) > 10
    assert sorted({path for path in paths if not (ROOT / path).exists()}) == []


def test_every_option_of_the_command_exists(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    lines = [line for line in (README + CLUSTER).splitlines() if "python -m study.run" in line]
    assert len(lines) > 10
    used = {option for line in lines for option in re.findall(r" (--[a-z-]+)", line.partition("study.run")[2])}
    assert used <= known


def test_every_search_space_and_setting_of_its_commands_exists():
    named = set(re.findall(r"python -m study\.run (\w+)\b(?!\.yaml)", README))
    assert named <= set(SPACES)
    assert set(re.findall(r"--set (\w+)=", README)) <= set(FIELD_NAMES)
