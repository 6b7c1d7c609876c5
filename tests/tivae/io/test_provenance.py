import json
import platform
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy
import pytest
import sklearn
import torch
import torchvision

from tests.waiting import HANG_SECONDS
from tivae.io import provenance
from tivae.io.provenance import Stopwatch, describe

REPOSITORY = Path(__file__).parents[3]


def git(*arguments):
    command = ["git", "-C", str(REPOSITORY), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def test_the_versions_are_those_that_run():
    described = describe("cpu")
    assert described["torch"] == torch.__version__
    # Package metadata has no build suffix such as +cpu.
    assert described["torchvision"] == torchvision.__version__.partition("+")[0]
    assert described["numpy"] == numpy.__version__
    assert described["scikit_learn"] == sklearn.__version__
    assert described["python"] == platform.python_version()


def test_the_device_and_the_threads_are_named():
    described = describe("cpu")
    assert described["device"] == "cpu"
    assert described["device_name"]
    assert described["threads"] == torch.get_num_threads() == 1
    assert described["host"] == platform.node()


def test_the_commit_is_the_repositorys_with_a_mark_where_files_were_changed(monkeypatch):
    monkeypatch.delenv(provenance.COMMIT_VARIABLE, raising=False)
    monkeypatch.setattr(provenance, "commit", provenance.commit.__wrapped__)
    commit = git("rev-parse", "--short=12", "HEAD")
    changed = bool(git("status", "--porcelain", "--untracked-files=no"))
    assert describe("cpu")["commit"] == (commit and commit + ("-dirty" if changed else ""))


@pytest.mark.parametrize("error", [FileNotFoundError("git"), subprocess.CalledProcessError(128, "git")])
def test_without_git_there_is_no_commit(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(subprocess, "run", fail)
    monkeypatch.setattr(provenance, "commit", provenance.commit.__wrapped__)
    assert describe("cpu")["commit"] is None


def test_a_copy_of_the_code_is_given_its_commit(monkeypatch):
    monkeypatch.setattr(provenance, "commit", provenance.commit.__wrapped__)
    for value, known in (("0123456789ab-dirty", "0123456789ab-dirty"), ("", None)):
        monkeypatch.setenv(provenance.COMMIT_VARIABLE, value)
        assert describe("cpu")["commit"] == known


def test_times_are_utc_and_in_order():
    origin = Stopwatch("cpu", "cache").provenance()
    started, finished = (datetime.fromisoformat(origin[name]) for name in ("started_at", "finished_at"))
    assert started.utcoffset() == timedelta(0)
    # Written to the second.
    assert datetime.now(UTC) - timedelta(minutes=1) < started <= finished <= datetime.now(UTC)


def test_seconds_before_an_interruption_count(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    watch = Stopwatch("cpu", "debian")
    now = 103.5
    origin = watch.provenance(seconds_before=60, resumed=2)
    assert origin["wall_seconds"] == pytest.approx(63.5)
    assert origin["resumed"] == 2
    assert origin["data_source"] == "debian"
    assert watch.provenance()["wall_seconds"] == pytest.approx(3.5)
    assert watch.provenance()["resumed"] == 0


def test_everything_is_a_plain_value():
    origin = Stopwatch("cpu", "cache").provenance()
    assert json.loads(json.dumps(origin)) == origin
    assert set(origin) == {
        *("device", "device_name", "host", "platform", "threads", "python", "torch", "torchvision", "numpy"),
        *("scikit_learn", "commit", "started_at", "finished_at", "wall_seconds", "data_source", "resumed"),
    }
