"""STN, training and readout are each computed once, whoever asks, and give what a trial alone gives."""

import contextlib
import dataclasses
import logging
import shutil

import pytest
import torch

from tests.damage import contents, cut, empty, flip
from tests.small import ANNEALED, small, untimed
from tivae import experiment, records, stages
from tivae.data.datasets import TrialData
from tivae.io import checkpoint
from tivae.models.stn import build as build_stn
from tivae.models.stn import freeze
from tivae.stages import Wanted, Workspace
from tivae.training.loop import epoch_file

NONE = Wanted(measures="none")
VAE = small(train_images=100, hidden_widths=(4,), epochs=4)
EACH = {
    "vae": VAE,
    "augmented": dataclasses.replace(VAE, train_dataset="augmented"),
    "consistency": dataclasses.replace(VAE, consistency_weight=0.1),
    # With this batch size its temperature changes between the epochs.
    "categorical_vae": small(train_images=100, hidden_widths=(4,), epochs=4, batch_size=2, **ANNEALED),
    "pretrained": dataclasses.replace(VAE, stn="pretrained", stn_epochs=1, train_dataset="augmented"),
    "joint": dataclasses.replace(VAE, stn="joint"),
    "inverse": dataclasses.replace(VAE, stn="inverse", train_dataset="augmented"),
}


class Interrupted(KeyboardInterrupt):
    pass


@pytest.fixture
def workspace(host, tmp_path):
    return Workspace(host, "cpu", tmp_path)


@pytest.fixture
def epochs_done():
    """The rows of all epochs that are trained."""
    return []


def numbers(record, study):
    """What must not depend on when, after what and beside what a trial was computed."""
    folder = study / "trials" / record["key"]
    names = [name for name in ("model.pt", "stn.pt", "predictions.pt", "encodings.pt") if (folder / name).exists()]
    files = {name: {key: value.tolist() for key, value in checkpoint.load(folder / name).items()} for name in names}
    return record["status"], record["error"], record["metrics"], untimed(record["epochs"]), files


def alone(config, host, folder, wanted=NONE):
    record = stages.run_trials([config], Workspace(host, "cpu", folder), wanted=wanted)[0]
    assert record["status"] == "finished"
    return numbers(record, folder)


# More epochs


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("name", EACH)
def test_a_training_that_continues_equals_one_in_one_go_bit_for_bit(
    workspace, tmp_path_factory, epochs_done, name, interrupted
):
    long = EACH[name]
    short = dataclasses.replace(long, epochs=2)
    stages.run_trials([short], workspace, epochs_done.append, wanted=NONE)

    def stop(row):
        epochs_done.append(row)
        if row["epoch"] == 3:
            raise Interrupted

    if interrupted:
        with pytest.raises(Interrupted):
            stages.run_trials([long], workspace, stop, wanted=NONE)
    (record,) = stages.run_trials([long], workspace, epochs_done.append, wanted=NONE)
    assert [row["epoch"] for row in epochs_done] == [1, 2, 3, 4]
    assert numbers(record, workspace.study) == alone(long, workspace.host, tmp_path_factory.mktemp("alone"))
    if name == "categorical_vae":
        assert len({row["temperature"] for row in record["epochs"]}) > 2


def test_a_grid_over_epochs_costs_its_longest_training(workspace, tmp_path_factory, epochs_done):
    configs = [dataclasses.replace(VAE, epochs=epochs) for epochs in (1, 2, 4)]
    found = stages.run_trials(configs, workspace, epochs_done.append, wanted=NONE)
    assert [row["epoch"] for row in epochs_done] == [1, 2, 3, 4]
    for config, record in zip(configs, found, strict=True):
        assert numbers(record, workspace.study) == alone(config, workspace.host, tmp_path_factory.mktemp("alone"))


def test_fewer_epochs_than_are_trained_are_trained_again_and_the_rest_stays(workspace, tmp_path_factory, epochs_done):
    stages.run_trials([VAE], workspace, wanted=NONE)
    short = dataclasses.replace(VAE, epochs=3)
    (record,) = stages.run_trials([short], workspace, epochs_done.append, wanted=NONE)
    assert [row["epoch"] for row in epochs_done] == [1, 2, 3]
    assert numbers(record, workspace.study) == alone(short, workspace.host, tmp_path_factory.mktemp("alone"))
    longer = dataclasses.replace(VAE, epochs=5)
    epochs_done.clear()
    stages.run_trials([longer], workspace, epochs_done.append, wanted=NONE)
    assert [row["epoch"] for row in epochs_done] == [5]
    kept = records.read(records.training_folder(workspace.study, VAE.training_key))
    assert [row["epoch"] for row in kept["epochs"]] == [1, 2, 3, 4, 5]


def test_a_schedule_that_knows_its_end_is_not_gone_on_with(workspace, tmp_path_factory, epochs_done):
    long = dataclasses.replace(VAE, learning_rate_schedule="cosine")
    short = dataclasses.replace(long, epochs=2)
    assert short.training_key != long.training_key
    stages.run_trials([short], workspace, wanted=NONE)
    (record,) = stages.run_trials([long], workspace, epochs_done.append, wanted=NONE)
    assert [row["epoch"] for row in epochs_done] == [1, 2, 3, 4]
    assert numbers(record, workspace.study) == alone(long, workspace.host, tmp_path_factory.mktemp("alone"))


def test_without_checkpoints_more_epochs_start_again_and_readouts_do_not(workspace, tmp_path_factory, epochs_done):
    wanted = Wanted(measures="none", keep=False)
    short = dataclasses.replace(VAE, epochs=2)
    stages.run_trials([short], workspace, wanted=wanted)
    probed = dataclasses.replace(short, probe="linear_svm")
    stages.run_trials([probed], workspace, epochs_done.append, wanted=wanted)
    assert epochs_done == []
    (record,) = stages.run_trials([VAE], workspace, epochs_done.append, wanted=wanted)
    assert [row["epoch"] for row in epochs_done] == [1, 2, 3, 4]
    assert numbers(record, workspace.study) == alone(VAE, workspace.host, tmp_path_factory.mktemp("alone"))


# Readouts

READOUTS = [
    {},
    {"probe": "linear_svm"},
    {"probe_regularisation": 0.1},
    {"probe_fit": "both"},
    {"probe_fit": "base"},
    {"probe_features": "sample"},
    {"epochs": 2},
    {"test_images": 150},
    {"rotation_degrees": 45.0},
]


@pytest.mark.parametrize("measures", ["none", "all"])
def test_readouts_share_a_training_and_equal_those_of_trials_alone(workspace, tmp_path_factory, epochs_done, measures):
    configs = [dataclasses.replace(VAE, **changes) for changes in READOUTS]
    wanted = Wanted(measures=measures)
    seen = []
    found = stages.run_trials(configs, workspace, epochs_done.append, seen.append, wanted=wanted)
    assert len(epochs_done) == 4
    assert [record["key"] for record in found] == [config.key for config in configs]
    assert {record["key"] for record in seen} == {config.key for config in configs}
    for config, record in zip(configs, found, strict=True):
        status, error, metrics, rows, files = numbers(record, workspace.study)
        expected = alone(config, workspace.host, tmp_path_factory.mktemp("alone"), wanted)
        assert (status, error, metrics, files) == (*expected[:3], expected[4])
        # Of other images than those of the longest trial, the losses are those of the last epoch alone.
        trained_on_others = config.evaluation_key != VAE.evaluation_key
        assert rows[-1] == expected[3][-1]
        assert ("base_loss" in rows[0]) == (not trained_on_others)
        assert [row["train_loss"] for row in rows] == [row["train_loss"] for row in expected[3]]


def test_readouts_behind_an_stn_equal_those_of_trials_alone(workspace, tmp_path_factory):
    config = EACH["pretrained"]
    configs = [config, dataclasses.replace(config, probe_stn="bypassed")]
    found = stages.run_trials(configs, workspace, wanted=NONE)
    assert found[0]["metrics"]["base_accuracy"] != found[1]["metrics"]["base_accuracy"]
    for each, record in zip(configs, found, strict=True):
        assert numbers(record, workspace.study) == alone(each, workspace.host, tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("name", ["vae", "pretrained"])
def test_measures_fill_up_a_finished_trial_without_training(workspace, tmp_path_factory, epochs_done, name):
    config = EACH[name]
    before = stages.run_trials([config], workspace, wanted=NONE)[0]
    record = stages.run_trials([config], workspace, epochs_done.append, wanted=Wanted(measures="all"))[0]
    assert epochs_done == []
    assert record["metrics"].items() >= before["metrics"].items()
    assert "local_sensitivity_rotation" in record["metrics"]
    assert numbers(record, workspace.study) == alone(
        config, workspace.host, tmp_path_factory.mktemp("a"), Wanted(measures="all")
    )
    again = stages.run_trials([config], workspace, epochs_done.append, wanted=NONE)[0]
    assert again == record


def test_a_trial_that_can_not_be_read_out_again_keeps_its_record(workspace, monkeypatch, caplog):
    before = stages.run_trials([VAE], workspace, wanted=NONE)[0]
    monkeypatch.setattr(experiment.invariance, "measure", lambda *_: 1 / 0)
    assert stages.run_trials([VAE], workspace)[0] == before
    assert f"{VAE.key} could not be read out again (ZeroDivisionError: division by zero)" in caplog.text


@pytest.mark.parametrize(
    "changes",
    [
        *({"probe": "linear_svm"}, {"probe_fit": "base"}, {"probe_features": "sample"}, {"probe_regularisation": 2.0}),
        *({"test_images": 150}, {"rotation_degrees": 45.0}, {"shift_pixels": 1.0}, {"scale_range": 0.1}),
        *({"warp_probability": 1.0}, {"interpolation": "nearest"}, {"fill": "grey"}, {"whole_pixel_shifts": True}),
        {"resampling": "successive"},
    ],
)
def test_what_names_no_training_moves_no_weight(host, changes):
    one, other = VAE, dataclasses.replace(VAE, **changes)
    assert one.training_key == other.training_key
    weights = [experiment.train(each, TrialData(host, each, "cpu"), None).module.state_dict() for each in (one, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("warp", [{"rotation_degrees": 45.0}, {"fill": "grey"}])
@pytest.mark.parametrize("name", ["augmented", "consistency", "joint", "inverse"])
def test_warps_that_are_trained_on_move_the_weights(host, name, warp):
    """Negative control of the test above."""
    one, other = EACH[name], dataclasses.replace(EACH[name], **warp)
    assert one.training_key != other.training_key
    weights = [experiment.train(each, TrialData(host, each, "cpu"), None).module.state_dict() for each in (one, other)]
    assert any(not torch.equal(weights[0][part], weights[1][part]) for part in weights[0])


# What goes wrong


def test_of_a_training_that_fails_the_epochs_before_are_read_out(workspace, monkeypatch, tmp_path_factory):
    short = dataclasses.replace(VAE, epochs=2)
    loss = experiment.ModelTraining.loss

    def broken(self, images, index, step):
        total, parts = loss(self, images, index, step)
        factor = 1 if step < 3 * 4 else float("nan")
        return total * factor, {name: value * factor for name, value in parts.items()}

    with monkeypatch.context() as patch:
        patch.setattr(experiment.ModelTraining, "loss", broken)
        good, bad = stages.run_trials([short, VAE], workspace, wanted=NONE)
    assert numbers(good, workspace.study) == alone(short, workspace.host, tmp_path_factory.mktemp("alone"))
    assert (bad["status"], bad["metrics"]) == ("failed", {})
    assert bad["error"].startswith("NonFiniteLoss: the training loss is nan at step 12;")
    assert [row["epoch"] for row in bad["epochs"]] == [1, 2, 3]
    training = records.read(records.training_folder(workspace.study, VAE.training_key))
    assert (training["kind"], training["status"], training["error"]) == ("training", "failed", bad["error"])
    # Without the fault it continues from its last good epoch.
    done = []
    (record,) = stages.run_trials([VAE], workspace, done.append, wanted=NONE)
    assert [row["epoch"] for row in done] == [4]
    assert numbers(record, workspace.study) == alone(VAE, workspace.host, tmp_path_factory.mktemp("alone"))


def test_a_probe_that_fails_fails_its_trial_alone(workspace, monkeypatch):
    from tivae.evaluation import readout

    fit = readout.probe.fit

    def broken(features, labels, config):
        if config.probe == "linear_svm":
            raise ValueError("no machine")
        return fit(features, labels, config)

    monkeypatch.setattr(readout.probe, "fit", broken)
    found = stages.run_trials([VAE, dataclasses.replace(VAE, probe="linear_svm")], workspace, wanted=NONE)
    assert [(record["status"], record["error"]) for record in found] == [
        ("finished", None),
        ("failed", "ValueError: no machine"),
    ]


@pytest.mark.parametrize("front", [{"stn": "pretrained", "stn_epochs": 1}, {"front": "moments"}])
def test_without_what_stands_in_front_nothing_is_read_out(workspace, monkeypatch, front):
    """Its training's state is there, and would be read on images that it was not trained on."""
    config = dataclasses.replace(VAE, **front)
    stages.run_trials([config], workspace, wanted=NONE)

    def broken(*given, **named):
        raise ValueError("no front")

    shutil.rmtree(workspace.study / "stns", ignore_errors=True)
    monkeypatch.setattr(experiment, "pretrain", broken)
    monkeypatch.setattr(experiment, "fit_front", broken)
    (record,) = stages.run_trials([dataclasses.replace(config, probe="linear_svm")], workspace, wanted=NONE)
    assert (record["status"], record["error"]) == ("failed", "ValueError: no front")


def of_another_recipe(file):
    checkpoint.save(file, checkpoint.load(file) | {"key": "0123456789ab"})


def of_another_epoch(file):
    state = checkpoint.load(file)
    checkpoint.save(file, state | {"rows": state["rows"][:1]})


@pytest.mark.parametrize("spoil", [cut, of_another_recipe, of_another_epoch])
def test_a_state_that_can_not_be_used_is_named_and_made_again_alone(
    workspace, tmp_path_factory, epochs_done, caplog, spoil
):
    short = dataclasses.replace(VAE, epochs=2)
    first, _ = stages.run_trials([short, VAE], workspace, wanted=NONE)
    training = records.training_folder(workspace.study, VAE.training_key)
    file = epoch_file(training / "checkpoint.pt", 4)
    good = epoch_file(training / "checkpoint.pt", 2).read_bytes()
    spoil(file)
    probed = [dataclasses.replace(config, probe="linear_svm") for config in (short, VAE)]
    with caplog.at_level(logging.WARNING, logger="tivae"):
        found = stages.run_trials(probed, workspace, epochs_done.append, wanted=NONE)
    assert str(file) in caplog.text
    # It continues from the state of epoch 2, which is as it was.
    assert [row["epoch"] for row in epochs_done] == [3, 4]
    assert epoch_file(training / "checkpoint.pt", 2).read_bytes() == good
    assert records.read(records.trial_folder(workspace.study, short.key)) == first
    assert numbers(found[1], workspace.study) == alone(probed[1], workspace.host, tmp_path_factory.mktemp("alone"))


def test_a_damaged_stn_is_named_and_pretrained_again_alone(workspace, tmp_path_factory, epochs_done, caplog):
    """Its trainings stay, and are read out again as they would have been."""
    config = EACH["pretrained"]
    before = stages.run_trials([config], workspace, wanted=NONE)[0]
    file = records.stn_folder(workspace.study, config.stn_key) / "stn.pt"
    good = file.read_bytes()
    cut(file)
    probed = dataclasses.replace(config, probe="linear_svm")
    with caplog.at_level(logging.WARNING, logger="tivae"):
        (record,) = stages.run_trials([probed], workspace, epochs_done.append, wanted=NONE)
    assert f"{file} can't be read" in caplog.text
    assert file.read_bytes() == good
    assert epochs_done == []
    assert records.read(records.trial_folder(workspace.study, config.key)) == before
    assert numbers(record, workspace.study) == alone(probed, workspace.host, tmp_path_factory.mktemp("alone"))


def test_a_damaged_trial_record_is_named_and_read_out_again_alone(workspace, epochs_done, caplog):
    other = dataclasses.replace(VAE, probe="linear_svm")
    first, second = stages.run_trials([VAE, other], workspace, wanted=NONE)
    file = records.trial_folder(workspace.study, VAE.key) / "record.json"
    untouched = records.trial_folder(workspace.study, other.key) / "record.json"
    before = untouched.read_bytes()
    file.write_bytes(file.read_bytes()[:-50])
    with caplog.at_level(logging.WARNING, logger="tivae"):
        again, same = stages.run_trials([VAE, other], workspace, epochs_done.append, wanted=NONE)
    assert f"{file} is " in caplog.text
    assert epochs_done == []
    assert (again["metrics"], same) == (first["metrics"], second)
    assert untouched.read_bytes() == before


BOTH = [EACH["pretrained"], dataclasses.replace(EACH["pretrained"], probe="linear_svm")]


@pytest.fixture(scope="module")
def finished(host, tmp_path_factory):
    """A study of two trials that share an STN and a training."""
    study = tmp_path_factory.mktemp("finished")
    stages.run_trials(BOTH, Workspace(host, "cpu", study), wanted=Wanted(measures="consistency"))
    return study


@pytest.mark.parametrize("spoil", [cut, empty, flip])
@pytest.mark.parametrize("name", ["model.pt", "stn.pt", "predictions.pt", "encodings.pt", "measures.json"])
def test_a_damaged_file_of_a_finished_trial_is_named_and_read_out_again_alone(
    finished, host, tmp_path, epochs_done, caplog, name, spoil
):
    study = shutil.copytree(finished, tmp_path / "study")
    file, workspace = records.trial_folder(study, BOTH[0].key) / name, Workspace(host, "cpu", study)
    before = contents(study)
    spoil(file)
    with caplog.at_level(logging.WARNING, logger="tivae"):
        found = stages.run_trials(BOTH, workspace, epochs_done.append, wanted=NONE)
    assert str(file) in caplog.text
    assert epochs_done == []
    assert [record["status"] for record in found] == ["finished"] * 2
    after = contents(study)
    # Both say when, and how long it took.
    timed = {file.with_name("record.json"), file.with_name("measures.json")}
    assert {path for path in after if after[path] != before[path]} <= timed
    # The measures that it had are there again, though none were asked for.
    assert all(records.finished_trial(each, study, "consistency") is not None for each in BOTH)


def test_files_of_a_finished_trial_that_were_left_out_are_not_made_again(workspace):
    before = stages.run_trials([VAE], workspace)
    (records.trial_folder(workspace.study, VAE.key) / "encodings.pt").unlink()
    assert stages.run_trials([VAE], workspace) == before
    assert not (records.trial_folder(workspace.study, VAE.key) / "encodings.pt").exists()


def test_a_damaged_state_that_a_longer_training_passes_is_made_again(workspace, epochs_done):
    short = dataclasses.replace(VAE, epochs=2)
    stages.run_trials([short], workspace, wanted=NONE)
    file = epoch_file(records.training_folder(workspace.study, VAE.training_key) / "checkpoint.pt", 2)
    good = checkpoint.load(file)["module"]
    cut(file)
    stages.run_trials([VAE], workspace, epochs_done.append, wanted=NONE)
    assert [row["epoch"] for row in epochs_done] == [1, 2, 3, 4]
    assert all(torch.equal(value, good[name]) for name, value in checkpoint.load(file)["module"].items())
    epochs_done.clear()
    stages.run_trials([dataclasses.replace(short, probe="linear_svm")], workspace, epochs_done.append, wanted=NONE)
    assert epochs_done == []


def test_a_damaged_training_record_costs_no_training_and_is_written_again(workspace, epochs_done):
    stages.run_trials([VAE], workspace, wanted=NONE)
    folder = records.training_folder(workspace.study, VAE.training_key)
    before = records.read(folder)
    (folder / "record.json").write_bytes(b"{")
    probed = dataclasses.replace(VAE, probe="linear_svm")
    assert stages.run_trials([probed], workspace, epochs_done.append, wanted=NONE)[0]["status"] == "finished"
    assert epochs_done == []
    again = records.read(folder)
    assert (again["status"], again["epochs"]) == ("finished", before["epochs"])


@pytest.mark.parametrize("moment", ["readout", "record"])
def test_a_kill_between_training_and_record_costs_no_epoch(
    workspace, monkeypatch, tmp_path_factory, epochs_done, moment
):
    def die(*_, **__):
        raise Interrupted

    with monkeypatch.context() as patch, contextlib.suppress(Interrupted):
        patch.setattr(*(experiment, "read_out", die) if moment == "readout" else (records, "write", die))
        stages.run_trials([VAE], workspace, wanted=NONE)
    assert records.read(records.trial_folder(workspace.study, VAE.key)) is None
    (record,) = stages.run_trials([VAE], workspace, epochs_done.append, wanted=NONE)
    assert epochs_done == []
    assert numbers(record, workspace.study) == alone(VAE, workspace.host, tmp_path_factory.mktemp("alone"))


def test_a_control_is_read_out_without_a_training(workspace, epochs_done):
    control = small(model="pca", epochs=1, train_images=200, latent_dim=3)
    (record,) = stages.run_trials([control], workspace, epochs_done.append, wanted=NONE)
    assert record["status"] == "finished"
    assert not (workspace.study / "trainings").exists()


def test_an_untrained_stn_is_not_taken_for_the_pretrained_one(workspace):
    """The readout of a training behind an STN passes the pretrained STN again."""
    config = EACH["pretrained"]
    stages.run_trials([config], workspace, wanted=NONE)
    probed = dataclasses.replace(config, probe="linear_svm")
    stages.run_trials([probed], workspace, wanted=NONE)
    stored = checkpoint.load(records.trial_folder(workspace.study, probed.key) / "stn.pt")
    pretrained = checkpoint.load(records.stn_folder(workspace.study, config.stn_key) / "stn.pt")
    fresh = freeze(build_stn(config)).state_dict()
    assert all(torch.equal(stored[name], pretrained[name]) for name in stored)
    assert any(not torch.equal(stored[name], fresh[name]) for name in stored)
