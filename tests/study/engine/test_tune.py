"""What is told of a worker that has gone."""

import json
from types import SimpleNamespace

import pytest

from study.engine.tune import Watchers, _Events, _forget_statistics, _reason
from study.jobs import Job
from tivae.config import TrialConfig

RAISED = """Failure # 1 (occurred at 2026-01-01_00-00-00)
ray::ImplicitFunc.train() (pid=1, ip=10.0.0.1)
  File "worker.py", line 3, in work
    raise OSError("disk full")
OSError: disk full
"""
DIED = """Failure # 1 (occurred at 2026-01-01_00-00-00)
The actor died unexpectedly before finishing this task.
\tclass_name: ImplicitFunc
The actor died because its node has died. Node Id: abc
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (RAISED, "OSError: disk full"),
        (DIED, "The actor died unexpectedly before finishing this task."),
        (DIED + RAISED, "OSError: disk full"),
        ("", "its worker died"),
        ("Failure # 1 (occurred at 2026-01-01_00-00-00)\n", "its worker died"),
    ],
)
def test_the_reason_is_one_line(tmp_path, text, reason):
    (tmp_path / "error.txt").write_text(text)
    assert _reason(SimpleNamespace(error_file=str(tmp_path / "error.txt"))) == reason


@pytest.mark.parametrize("file", [None, "/nowhere/error.txt"])
def test_without_a_file_the_worker_has_died(file):
    assert _reason(SimpleNamespace(error_file=file)) == "its worker died"


def test_tunes_statistics_of_an_ended_trial_are_freed():
    trial = SimpleNamespace(metric_analysis={"loss": {"max": 1}}, metric_n_steps={"loss": {"5": 1}})
    _forget_statistics(trial)
    assert trial.metric_analysis == trial.metric_n_steps == {}


def _events(more):
    display = SimpleNamespace(progress=None)
    events = _Events(display, Watchers(*[lambda *_: None] * 3), list, more, None)
    events._jobs["a"] = Job("trial", TrialConfig())
    return events


def test_of_several_epochs_in_a_report_the_first_that_is_given_up_counts():
    seen = []
    more = SimpleNamespace(should_prune=lambda job, row: seen.append(row["epoch"]) or row["epoch"] >= 3)
    events = _events(more)
    trial = SimpleNamespace(trial_id="a")
    report = {"rows": json.dumps([{"epoch": epoch} for epoch in (2, 3, 4)])}
    assert events.should_prune(trial, report)
    assert seen == [2, 3]
    assert events._pruned == {"a": 3}


def test_a_trial_that_has_finished_before_it_was_given_up_stays_finished():
    events = _events(SimpleNamespace(should_prune=lambda job, row: True))
    report = {"rows": json.dumps([{"epoch": 5}]), "status": "finished"}
    assert not events.should_prune(SimpleNamespace(trial_id="a"), report)
