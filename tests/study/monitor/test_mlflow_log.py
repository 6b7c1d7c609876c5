"""What MLflow is given of a study, by a client of the same shape; with the real one where it is installed."""

import sys
import types
from pathlib import Path

import pytest

from study.jobs import Job
from study.monitor.mlflow_log import MLflow, MLflowError
from tivae.config import TrialConfig

JOB = Job("trial", TrialConfig())
RECORD = {
    "status": "finished",
    "error": None,
    "config": {"model": "vae", "categories": None},
    "epochs": [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25, "temperature": None}],
    "metrics": {"base_accuracy": 0.75, "probe_converged": True, "broken": None},
}


def test_without_the_extra_the_remedy_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MLflowError, match=r"--mlflow needs the extra `mlflow`; .*--extra mlflow"):
        MLflow("sqlite://", Path("grid"))


def test_a_store_that_is_none_is_reported_in_one_line():
    pytest.importorskip("mlflow")
    with pytest.raises(MLflowError, match=r"--mlflow nosuch://x can't be used \("):
        MLflow("nosuch://x", Path("grid"))


class Client:
    """Keeps what MLflow's own client would send."""

    runs: dict  # id -> (tags, metrics, status)

    def __init__(self, tracking_uri):
        self.runs = {}

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name, tags):
        self.experiment = (name, tags)
        return name

    def search_runs(self, experiments, condition):
        key = condition.split("'")[1]
        return [_run(number) for number, run in self.runs.items() if run["tags"]["trial"] == key]

    def delete_run(self, number):
        del self.runs[number]

    def create_run(self, experiment, start_time, tags, run_name):
        number = len(self.runs) + 1
        self.runs[number] = {"tags": tags, "metrics": [], "times": [start_time], "params": {}, "files": []}
        return _run(number)

    def log_batch(self, number, metrics=(), params=()):
        self.runs[number]["metrics"] += [(item.key, item.value, item.step) for item in metrics]
        self.runs[number]["times"] += [item.timestamp for item in metrics]
        self.runs[number]["params"] |= {item.key: item.value for item in params}

    def log_artifact(self, number, path):
        self.runs[number]["files"].append(Path(path).name)

    def set_terminated(self, number, status, end_time):
        self.runs[number]["status"] = status
        self.runs[number]["times"].append(end_time)


def _run(number):
    return types.SimpleNamespace(info=types.SimpleNamespace(run_id=number))


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    entities = types.ModuleType("mlflow.entities")
    entities.Metric = lambda key, value, timestamp, step: types.SimpleNamespace(
        key=key, value=value, timestamp=timestamp, step=step
    )
    entities.Param = lambda key, value: types.SimpleNamespace(key=key, value=value)
    package = types.ModuleType("mlflow")
    package.MlflowClient, package.entities = Client, entities
    monkeypatch.setitem(sys.modules, "mlflow", package)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return MLflow("http://somewhere", tmp_path / "grid")


def test_a_run_holds_settings_epochs_and_final_figures(stand_in):
    stand_in.ended(JOB, RECORD)
    (run,) = stand_in._client.runs.values()
    assert run["metrics"] == [
        *(("loss_vae/train_loss", 0.5, 1), ("loss_vae/train_loss", 0.25, 2)),
        *(("base_accuracy", 0.75, 2), ("probe_converged", 1.0, 2)),
    ]
    assert run["params"] == {"model": "vae"}
    assert (run["tags"]["trial"], run["status"]) == (JOB.key, "FINISHED")


def test_a_run_has_the_times_of_its_job_and_its_files(stand_in, tmp_path):
    folder = tmp_path / "grid" / JOB.part
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("{}")
    (folder / ".temporary").write_text("")
    provenance = {"started_at": "2026-01-01T00:00:00+00:00", "finished_at": "2026-01-01T00:01:00+00:00"}
    epochs = [{"epoch": number, "wall_seconds": 20.0, "train_loss": 0.5, "train_kl": 1.0} for number in (1, 2)]
    stand_in.ended(JOB, RECORD | {"provenance": provenance, "epochs": epochs})
    (run,) = stand_in._client.runs.values()
    seconds = [(moment - run["times"][0]) / 1000 for moment in run["times"]]
    assert seconds == [0, 20, 20, 40, 40, 60, 60, 60]
    assert run["files"] == ["record.json"]


def test_a_server_has_a_page_of_the_runs_and_a_store_has_none(stand_in, tmp_path):
    """MLflow 3.17 opens an experiment on its view of language models unless the address says otherwise."""
    assert stand_in.page == "http://somewhere/#/experiments/grid/runs?workflowType=machine_learning"
    assert MLflow("sqlite:///runs.db", tmp_path / "grid").page == ""
    assert "secret" not in MLflow("https://me:secret@somewhere/", tmp_path / "grid").page


def test_the_experiment_opens_on_its_runs(stand_in):
    assert stand_in._client.experiment == ("grid", {"mlflow.experimentKind": "custom_model_development"})


def test_a_trial_that_ends_again_has_one_run(stand_in):
    stand_in.ended(JOB, RECORD | {"status": "failed", "error": "why"})
    assert next(iter(stand_in._client.runs.values()))["status"] == "FAILED"
    stand_in.ended(JOB, RECORD)
    assert [run["status"] for run in stand_in._client.runs.values()] == ["FINISHED"]


def test_a_server_that_fails_later_is_reported_and_tried_once_and_ends_nothing(stand_in, caplog, monkeypatch):
    tried = []

    def fail(*_, **__):
        tried.append(None)
        raise ConnectionError("gone")

    monkeypatch.setattr(stand_in._client, "create_run", fail)
    for _ in range(3):
        stand_in.ended(JOB, RECORD)
    assert [record.getMessage() for record in caplog.records] == [
        f"MLflow does not take {JOB.key} (gone); the study goes on without it"
    ]
    assert len(tried) == 1, "each attempt keeps the study waiting"


def test_an_address_is_reported_without_its_password():
    pytest.importorskip("mlflow")
    with pytest.raises(MLflowError) as message:
        MLflow("nosuch://me:hunter2@x", "grid")
    assert "--mlflow nosuch://***@x can't be used" in str(message.value)
    assert "hunter2" not in str(message.value)
