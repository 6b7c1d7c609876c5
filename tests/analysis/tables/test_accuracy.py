"""Tables of accuracies, on studies that never ran."""

import random

import pytest

from analysis import tables
from tests.analysis.synthetic import grid, study_of
from tivae.config import TrialConfig


def _figures(accuracy):
    return lambda config, draw: {"base_accuracy": 0.9, "augmented_accuracy": accuracy(config) + draw.gauss(0, 1e-4)}


def _load(folder, configs, accuracy):
    return study_of(folder, configs, _figures(accuracy))


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


def test_a_cell_without_one_accuracy_leaves_the_others_their_own(tmp_path):
    known = {2: None, 10: 0.8, 50: 0.7}

    def metrics(config, _):
        return {"base_accuracy": config.latent_dim / 100, "augmented_accuracy": known[config.latent_dim]}

    configs = [TrialConfig(latent_dim=size) for size in known]
    frame = tables.latent_size(study_of(tmp_path, configs, metrics)).frame
    assert frame["base_accuracy"].tolist() == [0.02, 0.1, 0.5]
    assert frame["augmented_accuracy"].tolist() == pytest.approx([float("nan"), 0.8, 0.7], nan_ok=True)


def test_means_and_intervals_are_those_of_the_seeds(sizes):
    table = tables.latent_size(sizes)
    row = table.frame[(table.frame["model"] == "vae") & (table.frame["encoding_dim"] == 10)].iloc[0]
    assert row["augmented_accuracy"] == pytest.approx(0.8, abs=1e-3)
    assert row["augmented_accuracy_low"] < row["augmented_accuracy"] < row["augmented_accuracy_high"]
    assert "80.0 ± 0.8" in table.table.text()
    for text in (table.table.text(), table.table.markdown(), table.table.latex()):
        assert "latent size" in text


def test_every_cell_has_a_row_with_what_the_study_varies(sizes):
    made = tables.every_cell(sizes)
    assert len(made.frame) == 5
    assert "| VAE | base | no STN | 100 |" in made.table.markdown()


def test_a_grid_of_the_papers_factors_has_all_its_cells_in_table_1(tmp_path):
    with pytest.raises(tables.NotSupported, match="Table 1"):
        tables.every_cell(_load(tmp_path, grid(), lambda _: 0.7))


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


def test_controls_stand_in_every_table_of_accuracies(tmp_path):
    configs = [TrialConfig(latent_dim=size, kl_weight=weight) for size in (2, 10) for weight in (0.001, 0.01)]
    configs += [TrialConfig(stn="joint"), *(TrialConfig(model=model) for model in ("pixels", "pca", "untrained"))]
    study = _load(tmp_path, configs, lambda _: 0.7)
    for make in (tables.latent_size, tables.kl_weight, tables.stn_mode, tables.pareto_front, tables.controls):
        made = make(study)
        assert made.frame["model"].tolist()[-3:] == ["pixels", "pca", "untrained"], make
        for name in ("raw pixels", "PCA", "untrained encoder"):
            assert name in made.table.text()


def test_a_control_is_on_no_front(tmp_path):
    known = {"pca": 0.9, "vae": 0.5}
    configs = [TrialConfig(model="pca", latent_dim=2), TrialConfig(latent_dim=2), TrialConfig(latent_dim=10)]
    study = _load(tmp_path, configs, lambda config: known[config.model] + 0.01 * config.latent_dim)
    made = tables.pareto_front(study)
    assert made.frame["model"].tolist() == ["vae", "vae", "pca"]
    assert "The controls below are not part of the front." in made.table.notes
    assert any("on these test images, so that it describes them" in note for note in made.table.notes)


def test_a_front_is_chosen_on_validation_images_where_there_are_any(tmp_path):
    """The size that reads the test images best by luck is not on it."""
    test, validation = {2: 0.5, 10: 0.9, 50: 0.8}, {2: 0.5, 10: 0.7, 50: 0.8}
    configs = [TrialConfig(latent_dim=size, validation_images=100) for size in test]

    def metrics(config, _):
        found = dict.fromkeys(("base_accuracy", "augmented_accuracy"), test[config.latent_dim])
        return found | {"validation_augmented_accuracy": validation[config.latent_dim]}

    made = tables.pareto_front(study_of(tmp_path, configs, metrics))
    assert made.frame["latent_dim"].tolist() == [2, 10, 50]
    assert any("means on validation images" in note for note in made.table.notes)


@pytest.mark.parametrize("make", [tables.stn_mode, tables.pareto_front])
def test_what_is_in_table_1_is_not_shown_again(tmp_path, make):
    with pytest.raises(tables.NotSupported, match="Table 1"):
        make(_load(tmp_path, grid(), lambda _: 0.7))


@pytest.mark.parametrize("configs", [grid(), [TrialConfig(model="pca", latent_dim=size) for size in (2, 10)]])
def test_two_models_of_two_sizes_and_controls_are_no_sweep(tmp_path, configs):
    study = _load(tmp_path, configs, lambda _: 0.7)
    with pytest.raises(tables.NotSupported, match="no trained model has two latent sizes"):
        tables.latent_size(study)


def test_no_table_mixes_cells(tmp_path):
    configs = [TrialConfig(latent_dim=size, kl_weight=weight) for size in (2, 10) for weight in (0.001, 0.01)]
    frame = tables.latent_size(_load(tmp_path, configs, lambda _: random.Random(0).random())).frame
    assert len(frame) == 4
    assert set(frame["n"]) == {1}
