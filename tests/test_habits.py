"""What `.ci/run` and the hooks hold, beside the tests: examples run, and nothing is skipped unseen."""

import doctest
import importlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import HANG_SECONDS

REPOSITORY = Path(__file__).parents[1]
SOURCES = [path for name in ("tivae", "study", "analysis") for path in sorted((REPOSITORY / name).rglob("*.py"))]
WITH_EXAMPLES = [path.relative_to(REPOSITORY) for path in SOURCES if ">>> " in path.read_text()]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=str)
def test_the_examples_of_docstrings_hold(path):
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


def test_there_are_examples():
    assert len(WITH_EXAMPLES) >= 3


SKIPPING = """
import pytest

def test_a_program():
    pytest.skip("no chromium")

def test_hardware():
    pytest.skip("hardware: no GPU")

def test_system():
    pytest.skip("system: no /proc")

@pytest.mark.skipif(True, reason="no pdflatex")
def test_marked():
    pass

@pytest.mark.xfail
def test_expected_to_fail():
    assert False
"""


@pytest.mark.parametrize(
    ("no_skips", "outcome"), [("", "4 skipped, 1 xfailed"), ("yes", "1 failed, 2 skipped, 1 xfailed, 1 error")]
)
def test_a_skip_fails_where_everything_is_installed_but_for_want_of_hardware_or_a_system(tmp_path, no_skips, outcome):
    (tmp_path / "conftest.py").write_text("from tests.skips import pytest_runtest_makereport\n")
    (tmp_path / "test_x.py").write_text(SKIPPING)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    environment = os.environ | {"TIVAE_NO_SKIPS": no_skips, "PYTHONPATH": str(REPOSITORY), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert outcome in done.stdout, done.stdout + done.stderr


STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >>"$LOG"
{exits}
"""


@pytest.mark.parametrize(
    ("programs", "user", "apt", "installs", "no_skips"),
    [
        ((), 0, 0, "chromium texlive-latex-base texlive-latex-recommended g++", "yes"),
        (("chromium", "pdflatex", "g++"), 1000, 0, None, "yes"),
        (("chromium", "g++"), 0, 0, "texlive-latex-base texlive-latex-recommended", "yes"),
        (("chromium", "g++"), 0, 1, None, ""),
        (("chromium", "g++"), 1000, 0, None, ""),
    ],
)
def test_ci_installs_what_is_missing_where_it_can_and_says_so_where_it_cannot(
    tmp_path, programs, user, apt, installs, no_skips
):
    """With stand-ins for all that it calls."""
    log, folder = tmp_path / "log", tmp_path / "bin"
    folder.mkdir()
    exits = {"apt-get": f"exit {apt}", "id": f"echo {user}", "uv": 'echo "no skips: $TIVAE_NO_SKIPS" >>"$LOG"'}
    for name in (*programs, *exits):
        (folder / name).write_text(STAND_IN.format(exits=exits.get(name, "")))
    for name in ("bash", "dirname", "basename", "sh"):
        (folder / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    for path in folder.iterdir():
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | stat.S_IEXEC)
    environment = {"PATH": str(folder), "LOG": str(log)}
    command = ["bash", str(REPOSITORY / ".ci/run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    calls = log.read_text().splitlines()
    installed = [call for call in calls if call.startswith("apt-get install")]
    assert [call.rpartition("--no-install-recommends ")[2] for call in installed if not apt] == (
        [installs] if installs else []
    )
    tests = calls.index("uv run --extra mlflow pytest --cov")
    assert calls[tests + 1] == f"no skips: {no_skips}"
    assert ("are skipped" in done.stdout) == (not no_skips)
    assert "uv run --extra mlflow mypy" in calls
