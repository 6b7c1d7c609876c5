"""Probes other than the paper's, the features they read and the scores besides accuracy."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, log_loss, recall_score

from tests.small import small
from tivae import experiment
from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator
from tivae.evaluation import classification, losses, probe
from tivae.models import build

SCORES = {"balanced_accuracy", "log_loss", "calibration_error", *(f"accuracy_class_{label}" for label in range(10))}


@pytest.fixture(scope="module")
def clusters():
    """Three classes around three points in four dimensions, 300 points."""
    source = np.random.default_rng(0)
    labels = np.arange(300) % 3
    centres = source.normal(size=(3, 4)) * 3
    return (centres[labels] + source.normal(size=(300, 4))).astype(np.float32), labels.astype(np.int64)


def test_only_logistic_regression_has_probabilities(clusters):
    found = probe.fit(*clusters).probabilities(clusters[0])
    assert found.shape == (300, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert probe.fit(*clusters, TrialConfig(probe="linear_svm")).probabilities(clusters[0]) is None


class TestScores:
    LABELS = np.array([0, 0, 0, 1, 1, 2] * 20)
    PREDICTED = np.array([0, 1, 0, 1, 2, 2] * 20)

    def test_they_are_those_of_scikit_learn(self):
        found = classification.scores(self.PREDICTED, self.LABELS)
        assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(self.LABELS, self.PREDICTED))
        by_class = recall_score(self.LABELS, self.PREDICTED, average=None)
        assert [found[f"accuracy_class_{label}"] for label in range(3)] == pytest.approx(by_class.tolist())

    def test_classes_after_the_tenth_count_in_the_mean(self):
        labels, predicted = np.repeat(np.arange(47), 3), np.repeat(np.where(np.arange(47) < 10, np.arange(47), 0), 3)
        assert classification.scores(predicted, labels)["balanced_accuracy"] == pytest.approx(10 / 47)

    def test_a_class_without_images_has_no_accuracy(self):
        found = classification.scores(self.PREDICTED, self.LABELS)
        assert [found[f"accuracy_class_{label}"] for label in range(3, 10)] == [None] * 7

    def test_log_loss_is_that_of_scikit_learn(self, clusters):
        probabilities = probe.fit(*clusters).probabilities(clusters[0])
        found = classification.log_loss(probabilities, clusters[1])
        assert found == pytest.approx(log_loss(clusters[1], probabilities))

    def test_honest_confidence_has_no_calibration_error(self):
        """Confidence 0.8 and 80 of 100 right; confidence 1 and all right."""
        probabilities = np.array([[0.8, 0.2]] * 100 + [[0.0, 1.0]] * 50)
        labels = np.array([0] * 80 + [1] * 20 + [1] * 50)
        assert classification.calibration_error(probabilities, labels) == pytest.approx(0, abs=1e-12)

    def test_boasting_is_counted_by_its_share(self):
        """Confidence 1 with half right: an error of 0.5 in half of the images."""
        probabilities = np.array([[1.0, 0.0]] * 100 + [[0.8, 0.2]] * 100)
        labels = np.array([0] * 50 + [1] * 50 + [0] * 80 + [1] * 20)
        assert classification.calibration_error(probabilities, labels) == pytest.approx(0.25)

    def test_a_certain_mistake_has_a_finite_log_loss(self):
        assert 700 < classification.log_loss(np.array([[1.0, 0.0]]), np.array([1])) < 710


@pytest.mark.parametrize("name", ["logistic_regression", "linear_svm"])
def test_a_trial_has_all_scores_for_both_test_sets(host, name):
    config = small(train_images=300, epochs=1, probe=name)
    trial = experiment.run(config, host, measures="none")
    for test in ("base", "augmented"):
        assert {f"{test}_{score}" for score in SCORES} <= set(trial.metrics)
        predicted, labels = trial.predictions[test], trial.predictions["labels"]
        for label in range(10):
            share = (predicted[labels == label] == label).double().mean().item()
            assert trial.metrics[f"{test}_accuracy_class_{label}"] == pytest.approx(share)
        calibration, loss = trial.metrics[f"{test}_calibration_error"], trial.metrics[f"{test}_log_loss"]
        if name == "linear_svm":
            assert calibration is loss is None
        else:
            assert 0 <= calibration <= 1
            assert loss > 0


def test_a_probe_of_both_kinds_is_fitted_on_each_image_twice(host):
    config = small(train_images=300, epochs=1, train_dataset="augmented", probe_fit="both")
    trial = experiment.run(config, host, measures="none")
    data = TrialData(host, config, "cpu")
    sets = (data.base_train(), data.augmented_train("probe warps"))
    features = np.concatenate([losses.features(trial.model, images, "mean").numpy() for images in sets])
    expected = probe.fit(features, np.tile(data.train_labels, 2))
    for test in ("base", "augmented"):
        assert np.array_equal(trial.predictions[test], expected.predict(trial.encodings[test].numpy()))
        assert trial.metrics[f"{test}_accuracy"] == expected.accuracy(trial.encodings[test].numpy(), data.test_labels)
    matched = experiment.run(dataclasses.replace(config, probe_fit="matched"), host, measures="none")
    for fit in ("base", "augmented"):
        name = f"augmented_accuracy_fit_{fit}"
        assert trial.metrics[name] == matched.metrics[name]


def test_another_probe_moves_no_weight(host):
    one, other = (experiment.run(small(epochs=1, probe=name), host, measures="none")
                  for name in ("logistic_regression", "linear_svm"))  # fmt: skip
    assert one.metrics["base_loss"] == other.metrics["base_loss"]
    assert one.config.key != other.config.key
    assert one.config == small(epochs=1)


@pytest.mark.parametrize("model", ["vae", "categorical_vae"])
def test_samples_are_those_of_the_posterior(model):
    """Mean and frequencies over many draws."""
    config = small(model=model, latent_dim=2)
    built, source = build(config), generator(0, "test")
    if model == "vae":
        parameters = torch.tensor([[1.0, -2], [0.0, 1.0]]).expand(20_000, 2, 2)
        drawn = built.features(parameters, "sample", built.noise(20_000, source))
        torch.testing.assert_close(drawn.mean(0), torch.tensor([1.0, -2]), rtol=0, atol=0.05)
        torch.testing.assert_close(drawn.var(0), torch.tensor([0.0, 1.0]).exp(), rtol=0.05, atol=0)
    else:
        parameters = torch.zeros(20_000, 2, 10)
        parameters[:, 1, 3] = 2.0
        drawn = built.features(parameters, "sample", built.noise(20_000, source)).view(-1, 2, 10)
        assert torch.equal(drawn.sum(2), torch.ones(20_000, 2))
        torch.testing.assert_close(drawn.mean(0), torch.softmax(parameters[0], -1), rtol=0, atol=0.02)


@pytest.mark.parametrize("model", ["vae", "categorical_vae"])
def test_a_trial_can_be_read_from_samples(host, model):
    config = small(model=model, probe_features="sample", epochs=1)
    one, same = (experiment.run(config, host, measures="none") for _ in range(2))
    assert one.metrics == same.metrics
    default = experiment.run(dataclasses.replace(config, probe_features=None), host, measures="none")
    assert not torch.equal(one.encodings["base"], default.encodings["base"])
    assert one.metrics["base_loss"] == default.metrics["base_loss"]


def test_hard_codes_are_scored_beside_soft_ones(result, host):
    trial = result("categorical_vae")
    images = TrialData(host, trial.config, "cpu").base_test().batch(slice(0, 600))
    with torch.no_grad():
        codes = torch.nn.functional.one_hot(trial.model.encode(images).argmax(-1), 5).flatten(1).float()
        error = float((trial.model.decode(codes) - images).square().mean())
    metrics = trial.metrics
    assert metrics["base_reconstruction_hard"] == pytest.approx(error, rel=1e-4)
    assert metrics["base_hard_soft_gap"] == metrics["base_reconstruction_hard"] - metrics["base_reconstruction"]


def test_models_without_codes_have_no_hard_ones(result):
    assert result("vae").metrics["augmented_reconstruction_hard"] is None
    assert result("vae").metrics["augmented_hard_soft_gap"] is None


@pytest.mark.parametrize("stn", ["pretrained", "joint"])
def test_a_bypassed_stn_is_trained_with_and_not_read_through(host, stn):
    config = small(stn=stn, epochs=1, stn_epochs=1, train_dataset="augmented")
    used = experiment.run(config, host)
    bypassed = experiment.run(dataclasses.replace(config, probe_stn="bypassed"), host)
    for name in ("base_loss", "augmented_loss", "augmented_original_frame_reconstruction", "stn_undone_rotation"):
        assert bypassed.metrics[name] == used.metrics[name]
    images = TrialData(host, config, "cpu").evaluation_sets()["augmented"]
    for trial, seen_through in ((used, used.stn), (bypassed, None)):
        seen = losses.features(trial.model, images, "mean", stn=seen_through)
        assert torch.equal(trial.encodings["augmented"], seen)
    assert not torch.equal(used.encodings["augmented"], bypassed.encodings["augmented"])
    assert bypassed.metrics["latent_displacement"] != used.metrics["latent_displacement"]


def test_an_stn_used_by_the_probe_is_the_default():
    assert TrialConfig(stn="pretrained", probe_stn="used").key == TrialConfig(stn="pretrained").key
    assert TrialConfig(probe_stn="bypassed") == TrialConfig()
