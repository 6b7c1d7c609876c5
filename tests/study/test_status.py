"""Where a study stands, seen from another terminal."""

import fcntl
import io
import json
import os
import re
import warnings

import pytest
from rich.console import Console

from study import status
from study.jobs import Job
from study.monitor import serving, status_file
from study.monitor.progress import Progress
from study.monitor.status_file import INTERVAL, StatusFile
from study.storage.folder import LOCK
from tests.study.monitor.test_utilisation import Clock
from tivae import records
from tivae.config import TrialConfig
from tivae.io import sealed_json

JOBS = [Job("trial", TrialConfig(seed=seed)) for seed in range(5)]
FINISHED = {"status": "finished", "error": None, "base_accuracy": 0.8, "augmented_accuracy": 0.7}


@pytest.fixture
def progress():
    """Of six trials one was done before, one is done, one failed, one runs and two wait."""
    progress = Progress(JOBS, 2, 1, Clock())
    for job in JOBS[:3]:
        progress.start(job, "cpu")
    progress.end(JOBS[0], FINISHED)
    progress.end(JOBS[1], {"status": "failed", "error": "NonFiniteLoss: [nan] at step 7"})
    progress.report(JOBS[2], {"epoch": 7, "wall_seconds": 10.0, "train_loss": 0.25})
    return progress


def _shown(study, capsys):
    assert status.main([str(study)]) == 0
    return capsys.readouterr().out


def test_a_running_study_is_shown(progress, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    StatusFile(tmp_path, progress).update()
    printed = _shown(tmp_path, capsys)
    assert re.match(r"running on \S+: 2/6 trials done, 1 running, 2 waiting, 1 failed, .* left", printed)
    assert re.search(rf"{JOBS[2].key}.*7/20.*0.25", printed)
    assert re.search(rf"{JOBS[1].key}.*NonFiniteLoss: \[nan\] at step 7", printed)
    assert f"best so far: {JOBS[0].key}" in printed
    assert "augmented accuracy 70.00 %" in printed


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_a_loss_beyond_bounds_makes_the_file_no_other(progress, tmp_path, value):
    progress.report(JOBS[2], {"epoch": 8, "train_loss": 0.25, "base_loss": value})
    StatusFile(tmp_path, progress).write("running")
    (row,) = status_file.read(tmp_path)["running"]
    assert row["row"] == {"epoch": 8, "train_loss": 0.25}


def test_an_ended_study_is_shown_without_what_ran(progress, tmp_path, capsys):
    StatusFile(tmp_path, progress).write("interrupted")
    printed = _shown(tmp_path, capsys)
    assert printed.startswith("interrupted: 2/6 trials done, 3 waiting, 1 failed\n")
    assert JOBS[2].key not in printed


@pytest.mark.parametrize("state", ["interrupted", "running"])
def test_what_ended_without_being_reported_is_counted_once_a_run_is_over(state, progress, tmp_path, capsys):
    """Two of eight trials were done at Ctrl-C, and the counts were one done and five waiting."""
    StatusFile(tmp_path, progress).write("running")
    content = json.loads((tmp_path / status_file.NAME).read_text()) | {"state": state, "updated_at": 0.0}
    (tmp_path / status_file.NAME).write_text(json.dumps(content))
    record = records.write_unfinished(JOBS[2].config, tmp_path, "failed", "later")
    ended = {**record, "status": "finished", "error": None}
    (records.trial_folder(tmp_path, record["key"]) / records.RECORD).write_text(json.dumps(ended))
    counts = re.search(r": (\d)/6 trials done, (\d) waiting, (\d) failed", _shown(tmp_path, capsys))
    assert counts
    assert [int(count) for count in counts.groups()] == [3, 2, 1]


def test_an_stn_that_is_pretrained_is_no_trial_that_waits(tmp_path, capsys):
    stn = Job("stn", TrialConfig(stn="pretrained"))
    progress = Progress([stn, Job("trial", stn.config)], 2, 0, Clock())
    progress.start(stn, "cpu")
    StatusFile(tmp_path, progress).write("interrupted")
    assert _shown(tmp_path, capsys).startswith("interrupted: 0/1 trials done, 1 waiting\n")


@pytest.mark.parametrize(
    ("state", "age", "is_held", "expected"),
    [
        ("ended", 1e6, False, "ended"),
        ("running", 1.0, False, "running on here"),
        ("running", 600.0, True, "running on here, last heard of 10 min ago"),
        ("running", 600.0, False, "stopped without a word; the same command continues"),
    ],
)
def test_a_run_that_died_is_distinguished_from_one_that_is_silent(state, age, is_held, expected):
    written = {"state": state, "updated_at": 1000.0, "host": "here"}
    assert status.state_of(written, is_held, 1000.0 + age) == expected


def test_the_live_page_is_served_until_ctrl_c(progress, tmp_path, capsys, monkeypatch):
    def interrupted(server):
        raise KeyboardInterrupt

    monkeypatch.setattr(serving.ThreadingHTTPServer, "serve_forever", interrupted)
    StatusFile(tmp_path, progress).update()
    assert status.main([str(tmp_path), "--serve"]) == 0
    assert re.search(r"^Live page, for this machine only: http://127\.0\.0\.1:\d+  ", capsys.readouterr().out, re.M)


def test_the_folders_lock_says_whether_a_run_is_alive(tmp_path):
    assert not status._is_held(tmp_path)
    with open(tmp_path / LOCK, "w") as lock:
        assert not status._is_held(tmp_path)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert status._is_held(tmp_path)


def test_a_study_without_a_status_file_is_read_from_its_records(tmp_path, capsys):
    records.write_unfinished(TrialConfig(), tmp_path, "failed", "ValueError: odd")
    record = records.write_unfinished(TrialConfig(seed=1), tmp_path, "failed", "later")
    best = {**record, "status": "finished", "error": None, "metrics": {"augmented_accuracy": 0.75}}
    (records.trial_folder(tmp_path, record["key"]) / records.RECORD).write_text(json.dumps(best))
    records.trial_folder(tmp_path, "unfinished").mkdir()
    printed = _shown(tmp_path, capsys)
    assert "1/3 trials done, 1 waiting, 1 failed" in printed
    assert "ValueError: odd" in printed
    assert re.search(r"best so far: \w+ base vae 10, STN none, seed 1, augmented accuracy 75\.00 %", printed)


def test_a_record_of_a_newer_format_is_one_line(tmp_path, capsys):
    record = records.write_unfinished(TrialConfig(), tmp_path, "failed", "later")
    sealed_json.write(records.trial_folder(tmp_path, record["key"]) / records.RECORD, {**record, "format": 2})
    assert status.main([str(tmp_path)]) == 2
    assert re.fullmatch(r"error: .* has format 2, which a newer version has written; .*\n", capsys.readouterr().err)


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line(tmp_path, capsys, monkeypatch):
    def load_search(study):
        warnings.warn(f"the search of {study} is\n odd", stacklevel=1)
        raise ValueError

    records.write_unfinished(TrialConfig(), tmp_path, "failed", "ValueError: odd")
    monkeypatch.setattr(status, "load_search", load_search)
    assert status.main([str(tmp_path)]) == 0
    assert capsys.readouterr().err == f"note: the search of {tmp_path} is odd\n"


def test_a_folder_that_is_no_study_is_reported_with_the_nearest_one(tmp_path, capsys):
    (tmp_path / "grid" / "trials").mkdir(parents=True)
    assert status.main([str(tmp_path)]) == 2
    assert re.fullmatch(r"error: .* is not the folder of a study; did you mean .*grid\?\n", capsys.readouterr().err)
    assert status.main([str(tmp_path / "gird")]) == 2
    assert capsys.readouterr().err.endswith(f"did you mean {tmp_path / 'grid'}?\n")
    assert status.main([str(tmp_path / "nowhere")]) == 2


def test_the_file_is_written_now_and_then_and_is_whole(progress, tmp_path):
    clock = Clock()
    file = StatusFile(tmp_path, progress, clock)
    file.update()
    first = status_file.read(tmp_path)
    progress.end(JOBS[2], FINISHED)
    clock.now += INTERVAL / 2
    file.update()
    assert status_file.read(tmp_path) == first
    clock.now += INTERVAL
    file.update()
    assert status_file.read(tmp_path)["finished"] == 3
    assert [path.name for path in tmp_path.iterdir()] == [status_file.NAME]


def test_the_live_table_has_the_best_and_the_last_failures(progress):
    from study.monitor.display import SHOWN_FAILURES, live_view

    for number in range(SHOWN_FAILURES):
        progress.end(JOBS[3], {"status": "failed", "error": f"reason {number}"})
    console = Console(file=io.StringIO(), width=200)
    console.print(live_view(progress))
    shown = console.file.getvalue()
    assert f"best so far: {JOBS[0].key}" in shown
    assert "reason 2" in shown
    assert "NonFiniteLoss" not in shown, "only the last few fit"


STRANGE = [b"", b"{", b"[]", b"{}", b'{"state": "running"}', b'{"state": []}', b"[" * 100_000, b"null"]
PARTS = [
    *(("running", value) for value in (None, {}, [None], [{"key": "x"}])),
    ("running", [{"key": "x", "label": "x", "device": "cpu", "epochs": 2, "row": {"epoch": "[/b]"}}]),
    ("running", [{"key": "x", "label": "x", "device": "cpu", "epochs": 2, "row": {"epoch": float("inf")}}]),
    *(("failures", value) for value in (5, [5], [{"key": 1, "label": "", "error": ""}])),
    *(("best", value) for value in (5, {}, {"key": "x", "label": "x", "metric": "x", "value": 1})),
    *(("updated_at", value) for value in (None, "now", float("nan"))),
    *(("trials", value) for value in (None, [], True)),
]


@pytest.mark.parametrize("content", STRANGE, ids=range(len(STRANGE)))
def test_what_is_no_status_is_not_shown(content, tmp_path, capsys):
    (tmp_path / "status.json").write_bytes(content)
    assert status.main([str(tmp_path)]) == 2
    assert "is not the folder of a study" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), PARTS)
def test_a_status_with_a_strange_part_is_not_shown(progress, tmp_path, name, value):
    StatusFile(tmp_path, progress).write("running")
    assert status_file.read(tmp_path) is not None
    content = json.loads((tmp_path / "status.json").read_text())
    (tmp_path / "status.json").write_text(json.dumps(content | {name: value}))
    assert status_file.read(tmp_path) is None


def test_what_a_status_says_is_not_taken_as_markup_or_as_codes(progress, tmp_path, capsys):
    StatusFile(tmp_path, progress).write("running")
    content = json.loads((tmp_path / "status.json").read_text())
    content["failures"][0]["error"] = content["running"][0]["label"] = "[/b]\x1b[2J"
    (tmp_path / "status.json").write_text(json.dumps(content | {"host": "\x1b[2J"}))
    printed = _shown(tmp_path, capsys)
    assert printed.count("[/b]?[2J") == 2
    assert "\x1b" not in printed


def test_a_status_that_is_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "status.json")
    assert status_file.read(tmp_path) is None
    assert status.main([str(tmp_path)]) == 2
