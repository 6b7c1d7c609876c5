"""The cause is reported where Ray does not start."""

import shutil
import subprocess

import pytest

from study.engine import cluster
from study.engine.obstacles import obstacle


@pytest.fixture(autouse=True)
def _usual(monkeypatch):
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)


def _full(tmp_path):
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True
    ).returncode:
        pytest.skip("system: a file system can't be mounted here")
    return tmp_path


def test_without_an_obstacle_none_is_reported():
    assert obstacle() is None


def test_a_path_that_is_too_long_for_sockets_is_reported(monkeypatch, tmp_path):
    place = tmp_path / ("x" * 60)
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    assert f"{place}, has too long a path; set TMPDIR to one of at most" in obstacle()


def test_a_folder_that_can_not_be_written_is_reported(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/proc")
    assert obstacle().startswith("nothing can be written to the folder for temporary files, /proc (")


@pytest.mark.skipif(shutil.which("mount") is None, reason="system: a file system can't be mounted here")
def test_a_full_folder_is_reported(monkeypatch, tmp_path):
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setattr("study.engine.obstacles._LONGEST", 1000)
    monkeypatch.setenv("TMPDIR", str(_full(folder)))
    try:
        assert "(No space left on device); make room there" in obstacle()
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    ("cause", "expected"), [("it is full; make room", "it is full; make room"), (None, "less busy")]
)
def test_ray_that_does_not_start_is_reported_with_the_cause_where_it_is_known(monkeypatch, cause, expected):
    monkeypatch.setattr(cluster, "obstacle", lambda: cause)
    message = cluster._not_started(None, RuntimeError("Failed to start GCS"))
    assert expected in message
    assert ("less busy" in message) == (cause is None)
