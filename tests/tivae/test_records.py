import dataclasses
import json
import math
import os
import shutil

import pytest
import torch

from tests.small import small
from tests.tivae.conftest import CONFIGS
from tivae import experiment, records, stages
from tivae.config import TrialConfig
from tivae.evaluation import probe
from tivae.io import checkpoint, files, sealed_json
from tivae.io.files import DamagedFile
from tivae.io.record import NewerRecord

QUICK = small(train_images=100, hidden_widths=(4,))
BEHIND_STN = dataclasses.replace(QUICK, stn="pretrained", stn_epochs=2)


class Interrupted(KeyboardInterrupt):
    pass


def interrupt(_):
    raise Interrupted


def strict(folder):
    """The record in `folder`, by a parser that takes JSON alone: no NaN, no Infinity."""

    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads((folder / "record.json").read_text(), parse_constant=refuse)
    assert len(content.pop("digest")) == 64
    return content


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def run(config, host, study, on_epoch=None):
    return stages.run_trial(config, host, "cpu", study, on_epoch, measures="none")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_finished_trials_folder_holds_its_files_and_record(recorded, name):
    trial = recorded(name)
    assert trial.folder == trial.study / "trials" / trial.config.key
    files = {"record.json", "model.pt", "predictions.pt", "encodings.pt", "measures.json"}
    files |= {"stn.pt"} if name == "stn" else set()
    assert {file.name for file in trial.folder.iterdir()} == files
    record = strict(trial.folder)
    assert record == trial.record == records.read(trial.folder)
    assert record["format"] == 1
    assert (record["kind"], record["key"]) == ("trial", trial.config.key)
    assert (record["status"], record["error"]) == ("finished", None)
    assert TrialConfig.from_dict(record["config"]) == trial.config
    assert set(record) == {
        "format",
        "recipe",
        "kind",
        "key",
        "status",
        "error",
        "config",
        "metrics",
        "epochs",
        "provenance",
        "measures",
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_stored_is_the_result(recorded, result, name):
    trial, expected = recorded(name), result(name)
    assert trial.record["metrics"] == expected.metrics
    assert [row["train_loss"] for row in trial.record["epochs"]] == [row["train_loss"] for row in expected.epochs]
    contents = {
        "predictions.pt": expected.predictions,
        "encodings.pt": expected.encodings,
        "model.pt": expected.model.state_dict(),
    }
    if expected.stn is not None:
        contents["stn.pt"] = expected.stn.state_dict()
    for file, content in contents.items():
        stored = torch.load(trial.folder / file, weights_only=True)
        assert stored.keys() == content.keys()
        assert all(torch.equal(stored[item], content[item]) for item in content)


def test_a_finished_trial_is_not_computed_again(host, recorded, monkeypatch):
    trial = recorded("vae")
    before = snapshot(trial.study)
    monkeypatch.setattr(experiment, "run", None)
    given = []
    assert run(trial.config, host, trial.study, given.append) == trial.record
    assert given == []
    assert snapshot(trial.study) == before


def test_an_interrupted_trial_is_not_recorded_and_continues(host, tmp_path):
    folder = records.trial_folder(tmp_path, QUICK.key)
    with pytest.raises(Interrupted):
        run(QUICK, host, tmp_path, interrupt)
    assert [file.name for file in folder.iterdir()] == ["running.json"]
    training = records.training_folder(tmp_path, QUICK.training_key)
    assert [file.name for file in training.iterdir()] == ["checkpoint.pt"]
    given = []
    record = run(QUICK, host, tmp_path, given.append)
    assert [row["epoch"] for row in given] == [2]
    assert record["status"] == "finished"
    assert record["provenance"]["resumed"] == 1
    assert record["metrics"] == experiment.run(QUICK, host, measures="none").metrics
    assert not (folder / "running.json").exists()
    assert {file.name for file in training.iterdir()} == {"epoch-2.pt", "record.json"}


def test_a_diverged_trial_is_recorded_with_its_reason(host, tmp_path):
    config = dataclasses.replace(QUICK, learning_rate=1e30)
    record = run(config, host, tmp_path)
    folder = records.trial_folder(tmp_path, config.key)
    assert record == strict(folder)
    assert record["status"] == "failed"
    assert record["error"].startswith("NonFiniteLoss: the training loss is ")
    assert "at step 1;" in record["error"]
    assert (record["metrics"], record["epochs"]) == ({}, [])
    assert TrialConfig.from_dict(record["config"]) == config
    assert record["provenance"]["device"] == "cpu"
    assert not (folder / "model.pt").exists()


def test_a_failure_after_training_keeps_the_epochs_and_one_line(host, tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError("the probe\n  is broken")

    monkeypatch.setattr(probe, "fit", fail)
    record = run(QUICK, host, tmp_path)
    assert (record["status"], record["error"]) == ("failed", "ValueError: the probe is broken")
    assert [row["epoch"] for row in record["epochs"]] == [1, 2]
    monkeypatch.undo()
    # A failed trial is tried again, from its last epoch.
    given = []
    again = run(QUICK, host, tmp_path, given.append)
    assert given == []
    assert (again["status"], again["error"]) == ("finished", None)
    assert strict(records.trial_folder(tmp_path, QUICK.key)) == again


def test_a_failed_pretraining_fails_the_trial_and_is_no_finished_stn(host, tmp_path):
    config = dataclasses.replace(BEHIND_STN, stn_learning_rate=1e30)
    record = run(config, host, tmp_path)
    assert record["status"] == "failed"
    assert record["error"].startswith("NonFiniteLoss")
    assert records.read(records.stn_folder(tmp_path, config.stn_key)) is None


def test_numbers_that_are_not_finite_become_null(result, tmp_path):
    broken = dataclasses.replace(
        result("vae"),
        metrics={"base_loss": math.nan, "base_accuracy": 0.5},
        epochs=[{"epoch": 1, "base_loss": math.inf, "deep": [-math.inf, (1.5, math.nan)]}],
    )
    record = records.write(tmp_path, broken)
    assert record == strict(tmp_path)
    assert record["metrics"] == {"base_loss": None, "base_accuracy": 0.5}
    assert record["epochs"] == [{"epoch": 1, "base_loss": None, "deep": [None, [1.5, None]]}]


def test_the_record_is_written_last(result, tmp_path, monkeypatch):
    written = []
    replacing = files.replacing

    def noted(path):
        written.append(path.name)
        return replacing(path)

    monkeypatch.setattr(files, "replacing", noted)
    records.write(tmp_path, result("stn"))
    assert set(written) == {"model.pt", "stn.pt", "predictions.pt", "encodings.pt", "measures.json", "record.json"}
    assert written[-1] == "record.json"


def test_one_stn_is_pretrained_for_all_trials_that_share_it(host, tmp_path, monkeypatch):
    pretrained = []
    pretrain = experiment.pretrain

    def counted(config, *given, **named):
        pretrained.append(config)
        return pretrain(config, *given, **named)

    monkeypatch.setattr(experiment, "pretrain", counted)
    for config in (BEHIND_STN, dataclasses.replace(BEHIND_STN, latent_dim=3)):
        record = run(config, host, tmp_path)
        assert record["status"] == "finished"
        used = torch.load(records.trial_folder(tmp_path, config.key) / "stn.pt", weights_only=True)
        shared = torch.load(records.stn_folder(tmp_path, config.stn_key) / "stn.pt", weights_only=True)
        assert all(torch.equal(used[name], shared[name]) for name in shared)
    assert pretrained == [BEHIND_STN]


def test_an_stns_folder_holds_its_weights_and_record(host, tmp_path):
    given = []
    record = stages.run_stn(BEHIND_STN, stages.Workspace(host, "cpu", tmp_path), given.append)
    folder = tmp_path / "stns" / BEHIND_STN.stn_key
    assert {file.name for file in folder.iterdir()} == {"record.json", "stn.pt"}
    assert record == strict(folder)
    assert (record["kind"], record["key"], record["status"]) == ("stn", BEHIND_STN.stn_key, "finished")
    assert [row["epoch"] for row in given] == [1, 2]
    before = snapshot(tmp_path)
    assert stages.run_stn(BEHIND_STN, stages.Workspace(host, "cpu", tmp_path), given.append) == record
    assert snapshot(tmp_path) == before


def test_an_interrupted_pretraining_continues(host, tmp_path):
    with pytest.raises(Interrupted):
        stages.run_stn(BEHIND_STN, stages.Workspace(host, "cpu", tmp_path), interrupt)
    given = []
    record = stages.run_stn(BEHIND_STN, stages.Workspace(host, "cpu", tmp_path), given.append)
    assert [row["epoch"] for row in given] == [2]
    assert record["provenance"]["resumed"] == 1
    assert record["metrics"] == experiment.pretrain(BEHIND_STN, host).metrics


def test_an_stn_whose_weights_are_gone_is_pretrained_again(host, tmp_path):
    stages.run_stn(BEHIND_STN, stages.Workspace(host, "cpu", tmp_path))
    weights = records.stn_folder(tmp_path, BEHIND_STN.stn_key) / "stn.pt"
    expected = checkpoint.load(weights)
    weights.unlink()
    assert run(BEHIND_STN, host, tmp_path)["status"] == "finished"
    assert all(torch.equal(value, expected[name]) for name, value in checkpoint.load(weights).items())


def test_a_study_that_can_not_be_written_is_reported(host, tmp_path):
    (tmp_path / "study").write_text("a file where a folder should be")
    with pytest.raises(OSError, match="study"):
        run(QUICK, host, tmp_path / "study")


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[1, 2]", b"null", b'{"format": 0}', b"{}", b"\xff", b"[" * 10**5]
)
def test_a_record_that_can_not_be_read_is_none(tmp_path, content):
    if content is not None:
        (tmp_path / "record.json").write_bytes(content)
    assert records.read(tmp_path) is None


def test_a_trial_whose_process_died_is_recorded_with_the_epochs_it_finished(host, tmp_path):
    with pytest.raises(Interrupted):
        run(QUICK, host, tmp_path, interrupt)
    record = records.write_unfinished(QUICK, tmp_path, "failed", "the worker was killed")
    assert record == strict(records.trial_folder(tmp_path, QUICK.key))
    assert (record["status"], record["error"]) == ("failed", "the worker was killed")
    assert [row["epoch"] for row in record["epochs"]] == [1]


@pytest.mark.parametrize("content", [None, {}, b"damaged"])
def test_a_trial_that_died_early_has_no_epochs(tmp_path, content):
    file = records.training_folder(tmp_path, QUICK.training_key) / "checkpoint.pt"
    if isinstance(content, dict):
        checkpoint.save(file, content)
    elif content is not None:
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    assert records.write_unfinished(QUICK, tmp_path, "failed", "the worker was killed")["epochs"] == []


@pytest.mark.parametrize("load", [records.load_model, records.load_stn])
def test_loaded_weights_are_those_stored_and_frozen(recorded, load):
    trial = recorded("stn")
    module = load(trial.config, trial.folder)
    stored = torch.load(trial.folder / ("model.pt" if load is records.load_model else "stn.pt"), weights_only=True)
    assert all(torch.equal(value, stored[name]) for name, value in module.state_dict().items())
    assert not module.training
    assert not any(weight.requires_grad for weight in module.parameters())


@pytest.mark.parametrize(("load", "file"), [(records.load_model, "model.pt"), (records.load_stn, "stn.pt")])
@pytest.mark.parametrize("content", [{"weight": torch.zeros(1)}, {}, {"weight": 3}, {1: 2}])
def test_weights_of_something_else_are_refused(tmp_path, load, file, content):
    checkpoint.save(tmp_path / file, content)
    with pytest.raises(DamagedFile, match=f"{file} does not hold the weights of its config"):
        load(BEHIND_STN, tmp_path)


@pytest.mark.parametrize("load", [records.load_model, records.load_stn])
def test_missing_weights_are_reported(tmp_path, load):
    with pytest.raises(FileNotFoundError, match=r"\.pt"):
        load(BEHIND_STN, tmp_path)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n lines"), "ValueError: two lines"),
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError(), "RuntimeError: "),
        (ValueError("x" * 5000), "ValueError: " + "x" * 988),
    ],
)
def test_a_reason_is_one_line_of_bounded_length(error, line):
    assert records.reason(error) == line


def test_a_record_that_is_a_pipe_or_a_link_counts_as_missing_and_is_named(tmp_path, caplog):
    for make, name in ((os.mkfifo, "pipe"), (lambda path: path.symlink_to("/dev/zero"), "link")):
        folder = tmp_path / name
        folder.mkdir()
        make(folder / "record.json")
        assert records.read(folder) is None
        assert f"{folder}/record.json is " in caplog.text
        assert "it counts as missing" in caplog.text


def test_a_record_of_other_work_counts_as_missing_and_is_named(tmp_path, caplog):
    config = small()
    records.write_unfinished(config, tmp_path, "failed", "why")
    other = tmp_path / "trials" / "0123456789ab"
    shutil.copytree(tmp_path / "trials" / config.key, other)
    assert records.read(tmp_path / "trials" / config.key) is not None
    assert records.read(other) is None
    assert (
        f"{other}/record.json has key '{config.key}'; its folder says 0123456789ab; it counts as missing" in caplog.text
    )
    assert records.read(other, is_own=False) is not None


def test_a_record_of_a_newer_format_is_refused_and_left_as_it_is(host, tmp_path):
    config = small()
    records.write_unfinished(config, tmp_path, "failed", "why")
    folder = tmp_path / "trials" / config.key
    sealed_json.write(folder / "record.json", records.read(folder) | {"format": 2})
    before = snapshot(folder)
    with pytest.raises(NewerRecord, match=r"record.json has format 2, which a newer version has written; .*update it"):
        run(config, host, tmp_path)
    assert snapshot(folder) == before
