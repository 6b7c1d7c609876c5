"""What is reported of a worker that has died, and what is done about Tune."""

from types import SimpleNamespace

import pytest
from ray.tune.error import TuneError

from study.engine.tune import _forget_statistics, _raised_by_callbacks, _reason, _save_nothing

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


def test_of_its_trials_tune_writes_nothing_but_the_file_that_it_looks_for(tmp_path):
    path = tmp_path / "staging" / "experiment_state-now.json"
    _save_nothing(SimpleNamespace(experiment_state_path=str(path)))
    assert path.read_text() == "{}"


def test_what_a_callback_raises_is_raised_without_tunes_wrapping():
    raised = OSError("disk full")
    wrapping = TuneError("its traceback")
    wrapping.__context__ = raised
    with pytest.raises(OSError, match="disk full") as caught, _raised_by_callbacks():
        raise wrapping
    assert caught.value is raised
    assert caught.value.__suppress_context__


def test_an_error_of_tunes_own_stays_as_it_is():
    with pytest.raises(TuneError, match="of Tune"), _raised_by_callbacks():
        raise TuneError("of Tune")
