"""Other probes of a finished study's models, without training."""

import pandas as pd
import pytest

import analysis
from analysis.reprobe import EXIT_BAD_INPUT, main, reprobe
from tests.analysis.synthetic import record, write_record
from tivae import precision, records, stages
from tivae.config import TrialConfig

SMALL = {"train_images": 300, "test_images": 200, "epochs": 1, "hidden_widths": (4, 8)}
CATEGORICAL = TrialConfig(model="categorical_vae", **SMALL)
PCA = TrialConfig(model="pca", train_images=300, test_images=200)


@pytest.fixture(scope="module")
def results(host, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for config in (CATEGORICAL, PCA):
        assert stages.run_trial(config, host, "cpu", folder, measures="none")["error"] is None
    write_record(folder, record(TrialConfig(**SMALL)))
    return folder


def _row(frame, config):
    return frame.set_index("key").loc[config.key]


def test_the_same_probe_gives_the_figures_of_the_record(results, host):
    study = analysis.load(results)
    frame = reprobe(study, {host.dataset: host})
    for config in (CATEGORICAL, PCA):
        recorded = study.trials.set_index("key").loc[config.key]
        for metric in ("base_accuracy", "augmented_accuracy", "augmented_accuracy_fit_base", "probe_iterations"):
            assert _row(frame, config)[metric] == recorded[metric]


def test_a_trial_is_read_out_in_its_own_precision(results, host, monkeypatch):
    seen, of = [], precision.of
    monkeypatch.setattr(precision, "of", lambda name, device: seen.append((name, device)) or of(name, device))
    reprobe(analysis.load(results), {CATEGORICAL.dataset: host})
    assert (CATEGORICAL.precision, "cpu") in seen


def test_another_fit_picks_another_of_the_four_accuracies(results, host):
    study = analysis.load(results)
    row = _row(reprobe(study, {host.dataset: host}, probe_fit="base"), CATEGORICAL)
    recorded = study.trials.set_index("key").loc[CATEGORICAL.key]
    assert row["augmented_accuracy"] == recorded["augmented_accuracy_fit_base"]


def test_what_a_model_does_not_have_is_told_in_its_row(results, host):
    frame = reprobe(analysis.load(results), {host.dataset: host}, probe_features="probabilities")
    assert pd.isna(_row(frame, CATEGORICAL)["error"])
    assert "a pca does not have" in _row(frame, PCA)["error"]
    assert "a vae does not have" in _row(frame, TrialConfig(**SMALL))["error"]


def test_weights_that_are_gone_are_told_in_their_row(host, tmp_path):
    behind = TrialConfig(model="pca", stn="pretrained", stn_epochs=1, train_images=300, test_images=200)
    assert stages.run_trial(behind, host, "cpu", tmp_path, measures="none")["error"] is None
    (records.trial_folder(tmp_path, behind.key) / "stn.pt").unlink()
    assert "stn.pt" in _row(reprobe(analysis.load(tmp_path), {host.dataset: host}), behind)["error"]


def test_rows_are_on_disk_as_they_come(results, host):
    seen = []
    frame = reprobe(
        analysis.load(results), {host.dataset: host}, on_row=lambda rows: seen.append(len(rows)), probe_fit="base"
    )
    assert seen == [1, 2, 3]
    assert len(frame) == 3


def test_the_records_stay_as_they_are(results, host):
    before = {path: path.read_bytes() for path in results.glob("trials/*/record.json")}
    reprobe(analysis.load(results), {host.dataset: host}, probe="linear_svm")
    assert before == {path: path.read_bytes() for path in results.glob("trials/*/record.json")}


def test_the_command_writes_a_table(results, capsys):
    assert main([str(results), "--probe", "linear_svm"]) == 0
    printed = capsys.readouterr()
    path = results / "reprobe" / "probe_linear_svm.csv"
    assert str(path) in printed.out
    assert "2 of 3" in printed.err
    assert set(pd.read_csv(path)["probe"].dropna()) == {"linear_svm"}


@pytest.mark.parametrize("arguments", [["--probe", "forest"], ["--regularisation", "-1"], ["--features", "colours"]])
def test_a_probe_that_does_not_exist_is_one_line_and_exit_code_2(results, capsys, arguments):
    assert main([str(results), *arguments]) == EXIT_BAD_INPUT
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert arguments[1].lstrip("-") in error


def test_trials_that_have_that_probe_already_are_left_out(results, host):
    study = analysis.load(results)
    assert reprobe(study, {host.dataset: host}, probe_stn="bypassed").empty
    keys = reprobe(study, {host.dataset: host}, probe_features="logits")["key"]
    assert CATEGORICAL.key not in set(keys)
    assert len(keys) == 2
