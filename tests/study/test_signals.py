"""Ctrl-C and SIGTERM at any time, and what happens when Ray's processes are killed."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from study import signals
from tests.study.faults import ROOT, Study, wait
from tests.waiting import HANG_SECONDS, slowness, until

SECRET = ("--mlflow", "http://me:hunter2@host")


def _ended(process, seconds):
    began = time.monotonic()
    printed, _ = process.communicate(timeout=HANG_SECONDS)
    assert time.monotonic() - began < seconds * slowness(), printed
    assert "Traceback" not in printed
    assert len(printed) < 5000
    return printed


def _handles_signals(process):
    """Whether the process handles SIGTERM, which Python does not by itself; elsewhere than on Linux after a while."""
    try:
        found = re.search(r"^SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    except FileNotFoundError:
        time.sleep(0.3)
        return True
    return bool(int(found[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("delay", [0.0, 1.5])
def test_a_signal_in_the_first_seconds_ends_it_at_once(tmp_path, number, delay):
    process = Study(tmp_path).start(*SECRET)
    # Before that it is Python itself that starts; the rest of the start are imports.
    until(lambda: _handles_signals(process), lambda: process.poll() is not None)
    time.sleep(delay)
    process.send_signal(number)
    printed = _ended(process, 20)
    assert process.returncode == 130
    assert "Stopped. To continue: " in printed
    assert "hunter2" not in printed


def test_ctrl_c_is_answered_before_it_does_what_it_is_set_to_do():
    happened = []
    before = signal.signal(signal.SIGINT, lambda *_: happened.append("ended"))
    try:
        signals.answered(lambda: happened.append("answered"))
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert happened == ["answered", "ended", "ended"]


def test_nothing_heavy_is_imported_before_signals_are_handled():
    script = "import sys; import study.signals; print(sorted({'torch', 'ray', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_a_signal_while_ray_starts_ends_it_at_once(tmp_path):
    study = Study(tmp_path)
    process = study.start()
    wait(lambda: any("gcs" in child.name() for child in psutil.Process(process.pid).children()), process)
    process.send_signal(signal.SIGTERM)
    assert "Stopped. To continue: " in _ended(process, 20)
    assert process.returncode == 130


@pytest.mark.slow
def test_sigterm_to_the_process_group_is_a_clean_stop(tmp_path):
    study = Study(tmp_path, through=("timeout", "--signal=TERM", "100000"))
    process = subprocess.Popen(
        study.command(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=os.environ,
        start_new_session=True,
    )
    wait(lambda: study.epochs_done(), process)
    os.killpg(process.pid, signal.SIGTERM)
    printed = _ended(process, 20)
    assert "Stopped. To continue: " in printed
    study.run()
    assert {status for status, _, _ in study.metrics().values()} == {"finished"}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("gcs_server", "control store"), ("raylet", "node manager")])
def test_a_killed_process_of_rays_is_reported_and_the_same_command_continues(tmp_path, name, expected):
    study = Study(tmp_path)
    process = study.start()
    wait(lambda: study.epochs_done(), process)
    (victim,) = (child for child in psutil.Process(process.pid).children() if child.name() == name)
    victim.kill()
    printed = _ended(process, 10)
    assert f"error: Ray's {expected}" in printed
    assert "To continue: " in printed
    assert process.returncode == 1
    study.run()
    assert {status for status, _, _ in study.metrics().values()} == {"finished"}
