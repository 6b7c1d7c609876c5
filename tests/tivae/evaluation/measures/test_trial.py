"""The measures as part of a trial: levels, columns, files."""

import dataclasses
import json

import pytest

from tests.small import small
from tivae import experiment, records, stages
from tivae.config import TrialConfig
from tivae.registry import MEASURES

QUICK = small(train_images=100, hidden_widths=(4,), epochs=1)
STANDARD = {
    *("rotation_accuracy_area", "shift_accuracy_area", "scale_accuracy_area", "prediction_consistency"),
    *("prediction_pair_consistency", "worst_of_10_accuracy", "latent_displacement"),
    *("latent_displacement_within_class", "within_between_class_ratio"),
    *("rotation_r_squared", "shift_x_r_squared", "shift_y_r_squared", "scale_r_squared"),
}
OF_STN = {
    *("stn_residual_rotation_degrees", "stn_residual_shift_pixels", "stn_residual_log_scale"),
    *("stn_undone_rotation", "stn_undone_shift", "stn_undone_scale"),
}
LOCAL = {f"local_sensitivity_{name}" for name in ("rotation", "shift_x", "shift_y", "scale")}


@pytest.fixture(scope="module")
def levels(host):
    return {level: experiment.run(QUICK, host, measures=level) for level in ("none", "standard", "all")}


def test_each_level_adds_its_columns_and_moves_no_other(levels):
    none, standard, everything = (levels[level].metrics for level in ("none", "standard", "all"))
    assert set(standard) - set(none) == STANDARD
    assert set(everything) - set(standard) == LOCAL
    assert {name: everything[name] for name in standard} == standard
    assert {name: standard[name] for name in none} == none
    assert levels["none"].measures is None


def test_metrics_are_within_the_ranges_that_are_declared(levels):
    metrics = levels["all"].metrics
    declared = {metric.name: metric for name in MEASURES for metric in MEASURES[name].metrics}
    assert declared.keys() == STANDARD | OF_STN | LOCAL
    for name in STANDARD | LOCAL:
        low, high = declared[name].low, declared[name].high
        assert low is None or metrics[name] > low, name
        assert high is None or metrics[name] <= high, name
    assert metrics["worst_of_10_accuracy"] <= metrics["base_accuracy_fit_augmented"]
    assert metrics["scale_r_squared"] <= 1


def test_the_curves_cross_the_accuracy_of_unwarped_images(levels):
    trial = levels["standard"]
    for name, identity in (("rotation_degrees", 0.0), ("shift_pixels", 0.0), ("scale", 1.0)):
        curve = trial.measures["curves"][name]
        unwarped = curve["accuracy"][curve["values"].index(identity)]
        # The identity warp interpolates nothing; an image on the boundary may still round to the other side.
        assert unwarped == pytest.approx(trial.metrics["base_accuracy_fit_augmented"], abs=0.011)


@pytest.mark.parametrize("stn", ["pretrained", "inverse"])
def test_an_stn_has_its_own_columns(host, stn):
    assert set(experiment.run(dataclasses.replace(QUICK, stn=stn, stn_epochs=1), host).metrics) >= STANDARD | OF_STN


@pytest.mark.parametrize("model", ["pixels", "categorical_vae"])
def test_other_encoders_are_measured_alike(host, model):
    features = "one_hot" if model == "categorical_vae" else "pixels"
    config = TrialConfig(
        **{"model": model, "probe_features": features, "train_images": 100, "test_images": 100},
        **({"hidden_widths": (4,), "epochs": 1} if model == "categorical_vae" else {}),
    )
    metrics = experiment.run(config, host, measures="all").metrics
    assert set(metrics) >= STANDARD | LOCAL
    if model == "categorical_vae":
        assert {metrics[name] for name in LOCAL} == {None}, "hard codes have no derivative"
    else:
        assert min(metrics[name] for name in LOCAL) > 0


def test_the_warps_are_the_same_for_every_seed(host, levels):
    other, same = (
        experiment.run(TrialConfig(model="pixels", train_images=100, test_images=100, seed=seed), host)
        for seed in (3, 4)
    )
    assert other.metrics["latent_displacement"] == same.metrics["latent_displacement"]
    assert other.metrics["latent_displacement"] != levels["standard"].metrics["latent_displacement"]


def test_a_study_holds_the_curves_of_a_trial_that_measures_them(host, tmp_path):
    stages.run_trial(QUICK, host, "cpu", tmp_path, measures="none")
    file = records.trial_folder(tmp_path, QUICK.key) / records.MEASURES
    assert not file.exists()
    measured = stages.run_trial(QUICK, host, "cpu", tmp_path, measures="standard")
    content = json.loads(file.read_bytes())
    assert content["format"] == 1
    assert content["level"] == "standard"
    assert set(content["curves"]) == {"rotation_degrees", "shift_pixels", "scale"}
    assert set(measured["metrics"]) >= STANDARD


def test_an_unknown_level_is_refused_before_anything_is_trained(host):
    with pytest.raises(
        ValueError, match="`measures` is 'some', of which 'some' is none; it must be none, standard, all, curves"
    ):
        experiment.run(QUICK, host, measures="some", on_epoch=lambda _: pytest.fail("it trained"))


def test_a_collapsed_stn_ends_the_trial_with_its_reason(host, tmp_path):
    """A joint STN with nothing to hold it and a huge learning rate leaves no warp that could be undone."""
    config = small(stn="joint", alignment_weight=0.0, stn_learning_rate=1e6, train_dataset="augmented")
    record = stages.run_trial(config, host, "cpu", tmp_path, measures="none")
    assert record["status"] == "failed"
    assert "DegenerateWarp" in record["error"] or "NonFiniteLoss" in record["error"]
