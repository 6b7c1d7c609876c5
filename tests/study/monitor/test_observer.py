"""Job events, as display, progress and recorder get them."""

import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from study.jobs import Job
from study.monitor.display import Display
from study.monitor.observer import Observer
from study.monitor.progress import Progress
from tests.small import small

ONE, OTHER = small(epochs=2), small(epochs=1)
JOB = Job("trial", ONE, (OTHER,))


@pytest.fixture
def ended():
    """What the recorder got of each trial that ended."""
    return []


@pytest.fixture
def observer(ended):
    display = Display(Progress([JOB], 1, 0, lambda: 0.0), Console(file=io.StringIO()))
    recorder = SimpleNamespace(
        ended=lambda job, result, is_recorded: ended.append((job.key, result["status"], is_recorded)),
        reported=lambda job, row: None,
    )
    observer = Observer(display, recorder, lambda: None)
    observer.started(JOB, "cpu")
    return observer


def _said(observer):
    return observer._display.console.file.getvalue()


def test_each_trial_of_a_job_ends_as_its_record_says(observer, ended):
    metrics = {"base_accuracy": 0.5, "augmented_accuracy": 0.25}
    found = {
        ONE.key: {"status": "failed", "error": "no machine", "metrics": {}},
        OTHER.key: {"status": "finished", "error": None, "metrics": metrics},
    }
    observer.ended(JOB, {"status": "finished", "error": None, "records": json.dumps(found)})
    assert ended == [(ONE.key, "failed", True), (OTHER.key, "finished", True)]
    assert f"FAILED {ONE.key}" in _said(observer)
    assert f"done {OTHER.key}" in _said(observer)
    assert (observer._progress.finished, observer._progress.failed) == (1, 1)


def test_trials_of_a_job_whose_worker_died_have_no_record(observer, ended):
    observer.failed(JOB, "its worker died")
    assert ended == [(ONE.key, "failed", False), (OTHER.key, "failed", False)]
    assert observer._progress.failed == 2


def test_a_job_that_is_put_back_waits_and_its_reason_is_told(observer, ended):
    observer.put_back(JOB, "its node died")
    assert ended == []
    assert observer._progress.waiting == 1
    assert "it continues from its last epoch (its node died)" in _said(observer)


def test_notices_after_the_last_epoch_are_told(observer):
    observer.ended(JOB, {"status": "failed", "error": "x", "notices": ["its record stays"]})
    assert f"note {JOB.key}: its record stays\n" in _said(observer)


def test_notices_of_a_worker_are_told(observer):
    observer.reported(JOB, [{"epoch": 1, "notices": ["a file is damaged", "it is made again"]}, {"epoch": 2}])
    assert f"note {JOB.key}: a file is damaged\nnote {JOB.key}: it is made again\n" in _said(observer)
