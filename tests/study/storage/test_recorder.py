"""Every trial that ends has a record here and on the storage, whatever became of its worker."""

import pytest

from study.jobs import Job
from study.storage.folder import Frames
from study.storage.recorder import Recorder
from study.storage.remote import of_study
from tivae import records
from tivae.config import TrialConfig

JOB = Job("trial", TrialConfig())
STN = Job("stn", TrialConfig(stn="pretrained"))


class Logger:
    def __init__(self):
        self.calls = []

    def reported(self, job, row):
        self.calls.append(("reported", job.key, row))

    def ended(self, job, record):
        self.calls.append(("ended", job.key, record["status"]))

    def close(self):
        self.calls.append(("close",))


@pytest.fixture
def there(tmp_path):
    """A worker's folder on the other side of the storage."""
    return tmp_path / "there"


@pytest.fixture
def storage(tmp_path):
    return of_study(f"file://{tmp_path}/bucket", tmp_path / "here")


@pytest.fixture
def reported():
    return []


@pytest.fixture
def recorder(tmp_path, storage, reported):
    study = tmp_path / "here"
    study.mkdir()
    return Recorder(study, storage, Frames(study), [Logger()], lambda config, result: reported.append(result["status"]))


def _worker_writes(storage, there, **fields):
    records.write_unfinished(JOB.config, there, "failed", "from the worker")
    storage.send(JOB.part, there)
    return {"status": "failed", "error": "from the worker"}


def _error(study):
    return records.read(study / JOB.part)["error"]


def test_a_workers_record_is_brought_and_handed_on(recorder, storage, there, reported, tmp_path):
    recorder.reported(JOB, [{"epoch": 1}])
    recorder.ended(JOB, _worker_writes(storage, there), is_recorded=True)
    recorder.close()
    assert _error(tmp_path / "here") == "from the worker"
    assert reported == ["failed"]
    assert recorder._loggers[0].calls == [
        ("reported", JOB.key, [{"epoch": 1}]),
        ("ended", JOB.key, "failed"),
        ("close",),
    ]


def test_without_a_workers_record_there_is_one_with_the_reason_on_both_sides(recorder, tmp_path):
    recorder.ended(JOB, {"status": "failed", "error": "its worker died"}, is_recorded=False)
    assert _error(tmp_path / "here") == "its worker died"
    assert _error(tmp_path / "bucket" / "here") == "its worker died"


def test_a_pruned_trial_is_recorded_as_such_on_both_sides(recorder, reported, tmp_path):
    recorder.ended(JOB, {"status": "pruned", "error": None, "epoch": 3}, is_recorded=False)
    for study in (tmp_path / "here", tmp_path / "bucket" / "here"):
        assert records.read(study / JOB.part)["status"] == "pruned"
    assert reported == ["pruned"]


def test_stns_are_not_reported_to_a_search(recorder, reported):
    recorder.ended(STN, {"status": "failed", "error": "why"}, is_recorded=True)
    assert reported == []


def test_what_could_not_be_brought_at_once_is_there_at_the_end(recorder, storage, there, tmp_path, monkeypatch, caplog):
    result = _worker_writes(storage, there)
    with monkeypatch.context() as patch:
        patch.setattr("study.storage.remote.Storage.bring", lambda *_: (_ for _ in ()).throw(OSError("no network")))
        recorder.ended(JOB, result, is_recorded=True)
    assert "no network" in caplog.text
    assert records.read(tmp_path / "here" / JOB.part) is None
    recorder.close()
    assert _error(tmp_path / "here") == "from the worker"
