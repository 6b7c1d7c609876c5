"""Pairs of trained models that differ in the STN alone."""

import pytest

from analysis.figures import stn_gain
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from tests.analysis.synthetic import grid, study_of
from tivae.config import TrialConfig


def accuracies(config, draw):
    known = {"none": 0.6, "pretrained": 0.7}[config.stn] + 0.01 * config.seed
    return {"base_accuracy": 0.8, "augmented_accuracy": known, "base_loss": 1.0, "augmented_loss": 1.0}


def test_a_pair_is_of_one_seed_and_its_gain_is_in_points(tmp_path):
    frame = stn_gain.numbers(study_of(tmp_path, grid(seeds=2), accuracies))
    augmented = frame[frame["test_set"] == "augmented"]

    assert len(frame) == 2 * 2 * 2 * 2
    assert augmented["gain"].tolist() == pytest.approx([10.0] * 8)
    assert augmented["without"].tolist() == pytest.approx(list(0.6 + 0.01 * augmented["seed"].astype(float)))


def test_a_trial_without_its_other_arm_is_no_pair(tmp_path):
    study = study_of(tmp_path, [config for config in grid() if config.stn == "none"], accuracies)
    with pytest.raises(NotSupported, match="both without and with"):
        stn_gain.numbers(study)


@pytest.mark.parametrize(
    ("seeds", "words"), [(1, "are the mean gains. "), (2, "± half of a 95 % interval over seeds. ")]
)
def test_one_seed_without_predictions_has_no_interval(tmp_path, seeds, words):
    study = study_of(tmp_path, grid(seeds=seeds), accuracies)
    assert words in stn_gain.drawn(Sources(study))[0].caption


def test_pairs_are_lines_and_the_mean_gain_is_written(tmp_path):
    study = study_of(tmp_path, grid(seeds=2), accuracies)
    (drawn,) = stn_gain.drawn(Sources(study))
    axes = drawn.figure.axes

    assert [len(ax.lines) for ax in axes] == [4] * 4
    assert [text.get_text() for text in axes[1].texts] == ["+10.0 ± 0.0 points"] * 2
    assert "8 pairs of trained models" in drawn.caption
    assert drawn.alt.endswith("on the augmented test set +10.0 points in the mean.")


def test_other_settings_make_pairs_of_their_own(tmp_path):
    configs = [TrialConfig(stn=stn, latent_dim=size) for stn in ("none", "pretrained") for size in (5, 10)]
    frame = stn_gain.numbers(study_of(tmp_path, configs, accuracies))
    assert sorted(frame["latent_dim"]) == [5, 5, 10, 10]


def test_fields_that_only_one_of_a_pair_uses_make_no_other_pair(tmp_path):
    """Trained on base images only what stands behind a frozen STN has training warps, redrawn or fixed."""
    configs = [
        TrialConfig(train_dataset=data, **given)
        for data in ("base", "augmented")
        for given in ({}, {"stn": "pretrained"}, {"stn": "pretrained", "probe_stn": "bypassed"})
    ]
    configs.append(TrialConfig(train_dataset="augmented", training_warps="fixed"))
    frame = stn_gain.numbers(study_of(tmp_path, configs, accuracies))

    assert frame["train_dataset"].tolist() == ["base"] * 2 + ["augmented"] * 2
    assert set(frame["key_with"]) == {configs[1].key, configs[4].key}


def test_two_models_stand_in_a_row(tmp_path):
    models = ("vae", "categorical_vae", "autoencoder")
    configs = [TrialConfig(model=model, stn=stn) for model in models for stn in ("none", "pretrained")]
    (drawn,) = stn_gain.drawn(Sources(study_of(tmp_path, configs, accuracies)))
    axes = [ax for ax in drawn.figure.axes if ax.get_visible()]

    assert [ax.get_subplotspec().rowspan.start for ax in axes] == [0] * 4 + [1] * 2
    assert [ax.get_title().split("\n")[0] for ax in axes] == ["VAE"] * 2 + ["categorical VAE"] * 2 + ["autoencoder"] * 2
