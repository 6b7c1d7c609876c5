"""The tables besides Table 1, on studies that never ran."""

import random

import pytest

import analysis
from analysis import tables
from tests.analysis.synthetic import record, write_record, write_study
from tivae.config import TrialConfig


def _figures(accuracy):
    return lambda config, draw: {"base_accuracy": 0.9, "augmented_accuracy": accuracy(config) + draw.gauss(0, 1e-4)}


def _load(folder, configs, accuracy):
    return analysis.load(write_study(folder, configs, _figures(accuracy)))


@pytest.fixture
def sizes(tmp_path):
    configs = [TrialConfig(latent_dim=size, seed=seed) for size in (2, 10, 50, 100) for seed in (0, 1)]
    configs.append(TrialConfig(model="categorical_vae", latent_dim=5, categories=10))
    known = {2: 0.5, 10: 0.8, 50: 0.7, 100: 0.9}
    return _load(tmp_path, configs, lambda config: known[config.latent_dim] if config.model == "vae" else 0.6)


def test_latent_sizes_count_the_classes_of_categorical_variables(sizes):
    frame = tables.latent_size(sizes).frame
    found = frame[["model", "encoding_dim", "n"]].astype(str).to_numpy().tolist()
    expected = [["vae", size, "2"] for size in ("2", "10", "50", "100")]
    assert found == [*expected, ["categorical_vae", "50", "1"]]


def test_means_and_intervals_are_those_of_the_seeds(sizes):
    table = tables.latent_size(sizes)
    row = table.frame[(table.frame["model"] == "vae") & (table.frame["encoding_dim"] == 10)].iloc[0]
    assert row["augmented_accuracy"] == pytest.approx(0.8, abs=1e-3)
    assert row["augmented_accuracy_low"] < row["augmented_accuracy"] < row["augmented_accuracy_high"]
    assert "0.80" in table.table.text()
    for text in (table.table.text(), table.table.markdown(), table.table.latex()):
        assert "latent size" in text


def test_the_pareto_front_holds_what_no_other_cell_beats(sizes):
    front = tables.pareto_front(sizes).frame
    assert front["encoding_dim"].astype(int).tolist() == [2, 10, 100]
    assert front["augmented_accuracy"].is_monotonic_increasing


def test_equal_betas_of_the_two_models(tmp_path):
    configs = [TrialConfig(kl_weight=weight) for weight in (0.0, 0.001)]
    configs.append(TrialConfig(model="categorical_vae", kl_weight=0.03))
    frame = tables.kl_weight(_load(tmp_path, configs, lambda _: 0.7)).frame
    assert sorted(frame["beta"]) == pytest.approx([0.0, 0.392, 0.392])


def test_stn_modes_are_in_the_order_of_the_question(tmp_path):
    configs = [TrialConfig(stn=mode) for mode in ("inverse", "pretrained", "joint", "none")]
    frame = tables.stn_mode(_load(tmp_path, configs, lambda _: 0.7)).frame
    assert frame["stn"].tolist() == ["none", "pretrained", "joint", "inverse"]


def test_controls_have_a_table_of_their_own(tmp_path):
    configs = [TrialConfig(), TrialConfig(model="pca"), TrialConfig(model="pixels")]
    study = _load(tmp_path, configs, lambda _: 0.7)
    table = tables.controls(study)
    assert sorted(table.frame["model"]) == ["pca", "pixels"]
    assert "PCA" in table.table.text()


def test_failures_are_named_with_their_reason(tmp_path):
    write_record(tmp_path, record(TrialConfig(), "failed", "NonFiniteLoss: <b>nan</b>"))
    write_record(tmp_path, b"{", key="0123456789ab")
    table = tables.failures(analysis.load(tmp_path))
    assert sorted(table.frame["status"]) == ["damaged", "failed"]
    assert "NonFiniteLoss: <b>nan</b>" in table.table.text()


def test_what_a_study_does_not_support_is_left_out_with_a_reason(tmp_path):
    study = _load(tmp_path, [TrialConfig()], lambda _: 0.7)
    made, skipped = tables.all_of(study)
    assert made == []
    assert skipped.keys() == tables.ALL.keys()
    assert all(reason and "\n" not in reason for reason in skipped.values())


def test_a_study_of_failures_only_has_just_their_table(tmp_path):
    write_record(tmp_path, record(TrialConfig(), "failed", "odd"))
    made, _ = tables.all_of(analysis.load(tmp_path))
    assert [table.name for table in made] == ["failures"]


def test_no_table_mixes_cells(tmp_path):
    configs = [TrialConfig(latent_dim=size, kl_weight=weight) for size in (2, 10) for weight in (0.001, 0.01)]
    frame = tables.latent_size(_load(tmp_path, configs, lambda _: random.Random(0).random())).frame
    assert len(frame) == 4
    assert set(frame["n"]) == {1}
