"""What a worker makes of a device that is full or broken: no trial is recorded as failed for it."""

import dataclasses
import json
import logging
from types import SimpleNamespace

import pytest
import torch

from study.engine import worker
from study.jobs import Job
from study.storage.remote import of_study
from tests.pretended_device.trials import HOST, config_of
from tivae import device_support, experiment, records, stages
from tivae.stages import Wanted

CONFIG = config_of("vae")


@pytest.fixture
def reported(monkeypatch):
    """What is reported to Tune, where a device does what `fails` says."""
    rows = []
    monkeypatch.setattr(worker.tune, "report", rows.append)
    monkeypatch.setattr(worker.ray, "get", lambda data: data)
    monkeypatch.setattr(device_support, "missing", lambda *given, **named: None)
    monkeypatch.setattr("tivae.io.provenance._device_name", lambda device: "pretended")
    monkeypatch.setattr(stages, "TrialData", lambda *given: SimpleNamespace(device=torch.device("cpu")))
    return rows


def _work(folder, config=CONFIG, kind="trial", device="cuda", threads=1):
    pool = {"device": device, "threads": threads}
    given = {"job": Job(kind, config).to_text(), "pool": pool, "report_seconds": 0.0}
    storage = of_study(str(folder), folder)
    wanted = Wanted(measures="none")
    worker.work(given, supplies=worker.Supplies(data={CONFIG.dataset: HOST}, storage=storage, wanted=wanted))


def _failing(error):
    def fails(*given, **named):
        raise error

    return fails


BROKEN = RuntimeError("CUDA error: an illegal memory access was encountered")
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")


@pytest.mark.parametrize("error", [BROKEN, FULL], ids=["broken", "full"])
@pytest.mark.parametrize("kind", ["trial", "stn"])
def test_a_full_or_broken_device_is_raised_for_its_process_to_be_replaced(reported, monkeypatch, tmp_path, error, kind):
    monkeypatch.setattr(experiment, "train", _failing(error))
    monkeypatch.setattr(experiment, "pretrain", _failing(error))
    monkeypatch.setattr(device_support, "_works", lambda device: error is FULL)
    config = CONFIG if kind == "trial" else config_of("pretrained")
    with pytest.raises(RuntimeError, match=r"CUDA"):
        _work(tmp_path, config, kind)
    assert reported == []
    assert not list(tmp_path.rglob(records.RECORD))


def test_an_error_of_its_own_is_the_trials_and_recorded(reported, monkeypatch, tmp_path):
    monkeypatch.setattr(experiment, "train", _failing(ValueError("a bug")))
    monkeypatch.setattr(device_support, "_works", lambda device: True)
    _work(tmp_path)
    (row,) = reported
    (trial,) = json.loads(row["records"]).values()
    assert (trial["status"], trial["error"]) == ("failed", "ValueError: a bug")
    statuses = {
        path.parent.parent.name: json.loads(path.read_text())["status"] for path in tmp_path.rglob(records.RECORD)
    }
    assert statuses == {"trials": "failed", "trainings": "failed"}


def test_a_missing_operation_is_reported_and_nothing_is_recorded(reported, monkeypatch, tmp_path):
    monkeypatch.setattr(device_support, "missing", lambda *given, **named: "NotImplementedError: aten::exp")
    _work(tmp_path)
    assert reported == [{"status": "unsupported", "error": "NotImplementedError: aten::exp"}]
    assert not list(tmp_path.rglob(records.RECORD))


@pytest.mark.parametrize("fails", [False, True])
def test_memory_of_the_device_is_given_back_after_each_job(reported, monkeypatch, tmp_path, fails):
    released = []
    monkeypatch.setattr(device_support, "release", released.append)
    monkeypatch.setattr(worker._Task, "outcome", _failing(BROKEN) if fails else lambda _: {"status": "finished"})
    if fails:
        with pytest.raises(RuntimeError):
            _work(tmp_path)
    else:
        _work(tmp_path)
    assert released == ["cuda"]


def test_a_trial_has_the_threads_of_its_slot(reported, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(worker.torch, "set_num_threads", seen.append)
    monkeypatch.setattr(worker._Task, "outcome", lambda _: {"status": "finished"})
    _work(tmp_path, threads=3)
    assert seen == [3]


@pytest.mark.parametrize(("seconds", "reports"), [(0.0, 6), (2.0, 3), (1e9, 1)])
def test_reports_are_gathered_and_every_epoch_is_in_one_of_them_once_and_in_order(seconds, reports):
    now = [0.0]
    gathered = worker.Reports(seconds, lambda: now[0])
    sent = []
    for epoch in range(1, 7):
        # A loss that is no number must arrive as it is, for all to see.
        sent.append(gathered.due({"epoch": epoch, "train_loss": float("inf")}))
        now[0] += 1.0
    sent = [report for report in sent if report is not None]
    assert len(sent) == reports
    assert worker.rows_of(sent[0])[0]["epoch"] == 1, "the first epoch is shown at once"
    sent.append(gathered.last({"status": "finished"}))
    rows = [row for report in sent for row in worker.rows_of(report)]
    assert rows == [{"epoch": epoch, "train_loss": float("inf")} for epoch in range(1, 7)]
    assert worker.rows_of(gathered.last({})) == []


def test_what_it_warns_of_without_an_epoch_is_in_its_last_report(reported, monkeypatch, tmp_path):
    def run_trials(configs, workspace, *given, **named):
        logging.getLogger("tivae").warning("its record stays")
        return []

    def fails(*given, **named):
        run_trials(*given, **named)
        raise ValueError("a bug")

    for run in (run_trials, fails):
        monkeypatch.setattr(stages, "run_trials", run)
        _work(tmp_path, device="cpu")
    assert [(row["status"], row["notices"]) for row in reported] == [
        (status, ["its record stays"]) for status in ("finished", "failed")
    ]


def test_each_readout_is_on_a_remote_storage_before_the_next(reported, monkeypatch, tmp_path):
    trials = [CONFIG, dataclasses.replace(CONFIG, probe="linear_svm")]
    storage, sent = of_study(f"file://{tmp_path}/remote", tmp_path / "grid"), []

    def run_trials(configs, workspace, on_epoch, on_trial, *, wanted):
        for config in configs:
            stages._begin(config, workspace.study)
        for config in configs:
            on_trial(records.write_unfinished(config, workspace.study, "failed", "a test"))
            sent.append([list(storage._files(f"trials/{trial.key}")) for trial in trials])
        return []

    monkeypatch.setattr(stages, "run_trials", run_trials)
    job = Job("trial", trials[0], tuple(trials[1:]))
    given = {"job": job.to_text(), "pool": {"device": "cpu", "threads": 1}, "report_seconds": 0.0}
    worker.work(given, supplies=worker.Supplies(data={CONFIG.dataset: HOST}, storage=storage))
    # The mark of a trial that waits goes as its record comes.
    assert sent == [[["record.json"], ["running.json"]], [["record.json"], ["record.json"]]]
