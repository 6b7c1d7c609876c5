"""Targets and consistency: two settings that aim at invariance itself."""

import dataclasses

import pytest
import torch

from tests.small import small
from tests.tivae.tensors import random, whole
from tivae import experiment
from tivae.config import ConfigError, TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator
from tivae.models import build
from tivae.models.consistency import consistency, distance
from tivae.models.stn import LearntTransformer, freeze
from tivae.training.autoencoder import ModelTraining

AUGMENTED = small(train_dataset="augmented", epochs=1)


def first_loss(host, config, stn=None):
    """The training's first batch: its metrics by name, and its gradient with respect to the module's parameters."""
    training = ModelTraining(config, TrialData(host, config, "cpu"), stn)
    images = training.images()
    loss, metrics = training.loss(images, torch.arange(32), 0)
    loss.backward()
    return training, {name: value.item() for name, value in metrics.items()}


class TestDistance:
    def test_equal_views_have_none(self):
        encodings = random(50, 4)
        assert distance(encodings, encodings) == 0

    def test_views_of_unrelated_images_are_at_one(self):
        assert distance(random(4000, 5), random(4000, 5, seed=1)) == pytest.approx(1, abs=0.03)

    def test_a_small_case_by_hand(self):
        # Views (0, 2) and (1, 1): shifts 1 and 1; the four numbers have variance 1/2.
        found = distance(torch.tensor([[0.0], [2]]), torch.tensor([[1.0], [1]]))
        assert found == pytest.approx(1 / (2 * 0.5))

    @pytest.mark.parametrize("factor", [1e-3, 10.0])
    def test_scaling_the_encodings_changes_nothing(self, factor):
        one, other = random(50, 4), random(50, 4, seed=1)
        assert distance(factor * one, factor * other) == pytest.approx(float(distance(one, other)), rel=1e-4)

    def test_shrinking_does_not_pay(self):
        """The derivative with respect to the encodings' scale is zero, which it is not with the variance held fixed."""
        scale = torch.ones((), requires_grad=True)
        one, other = random(50, 4), random(50, 4, seed=1)
        distance(scale * one, scale * other).backward()
        assert abs(float(scale.grad)) < 1e-5
        held = 2 * torch.cat([one, other]).var(dim=0, correction=0).sum()
        scale.grad = None
        ((scale * (one - other)).square().sum(1).mean() / held).backward()
        assert scale.grad > 0.5

    def test_encodings_that_are_all_equal_have_neither_value_nor_gradient(self):
        one = torch.ones(10, 3, requires_grad=True)
        distance(one, one.detach().clone()).backward()
        assert torch.equal(one.grad, torch.zeros(10, 3))


def test_kl_of_two_gaussians_is_that_of_torch():
    model = build(small(latent_dim=3))
    first, second = random(20, 2, 3), random(20, 2, 3, seed=1)

    def normal(parameters):
        return torch.distributions.Normal(parameters[:, 0], torch.exp(0.5 * parameters[:, 1]))

    expected = torch.distributions.kl_divergence(normal(first), normal(second)).sum(1)
    torch.testing.assert_close(model.kl_between(first, second), expected)
    # Against the standard normal it is the KL of the loss.
    torch.testing.assert_close(model.kl_between(first, torch.zeros(20, 2, 3)), model.kl(first))


def test_kl_of_two_categoricals_is_that_of_torch():
    model = build(small(model="categorical_vae", latent_dim=3, categories=4))
    first, second = random(20, 3, 4), random(20, 3, 4, seed=1)
    one, other = (torch.distributions.Categorical(logits=logits) for logits in (first, second))
    expected = torch.distributions.kl_divergence(one, other).sum(1)
    torch.testing.assert_close(model.kl_between(first, second), expected)
    torch.testing.assert_close(model.kl_between(first, torch.zeros(20, 3, 4)), model.kl(first))


@pytest.mark.parametrize("form", ["distance", "kl"])
@pytest.mark.parametrize("model", ["vae", "categorical_vae"])
def test_both_forms_are_zero_for_equal_views_and_symmetric(form, model):
    built = build(small(model=model, latent_dim=3))
    shape = (20, 2, 3) if model == "vae" else (20, 3, 10)
    first, second = random(*shape), random(*shape, seed=1)
    assert consistency(built, first, first, form) == pytest.approx(0, abs=1e-6)
    there, back = consistency(built, first, second, form), consistency(built, second, first, form)
    assert there == pytest.approx(float(back), rel=1e-5)
    assert there > 0.1


@pytest.mark.parametrize("model", ["vae", "categorical_vae", "autoencoder"])
@pytest.mark.parametrize("train_dataset", ["base", "augmented"])
def test_the_term_joins_the_loss_with_its_weight(host, model, train_dataset):
    config = dataclasses.replace(
        AUGMENTED,
        model=model,
        train_dataset=train_dataset,
        reconstruction_weight=None,
        probe_features=None,
        consistency_weight=0.3,
    )
    _, metrics = first_loss(host, config)
    kl = 1e-3 * metrics["train_kl"] if model != "autoencoder" else 0
    expected = config.reconstruction_weight * metrics["train_reconstruction"] + kl
    assert metrics["train_consistency"] > 0.01
    assert metrics["train_loss"] == pytest.approx(expected + 0.3 * metrics["train_consistency"], rel=1e-5)


def test_a_second_view_moves_neither_the_first_nor_its_noise(host):
    """With a weight next to nothing the trial's first view is as without: same images, same order, same noise."""
    plain = ModelTraining(AUGMENTED, TrialData(host, AUGMENTED, "cpu"))
    config = dataclasses.replace(AUGMENTED, consistency_weight=1e-30)
    paired = ModelTraining(config, TrialData(host, config, "cpu"))
    index = torch.arange(20)
    for _ in range(2):
        one, other = plain.images().batch(index), paired.images().batch(index)
        assert torch.equal(one, other)
        second = paired._epoch_sets.second.batch(index)
        assert not torch.equal(second, other)
    plain.model.eval()
    paired.model.eval()
    with torch.no_grad():
        losses = [training.loss(training.images(), index, 0)[1] for training in (plain, paired)]
    for name, value in losses[0].items():
        assert float(value) == pytest.approx(float(losses[1][name]), rel=1e-5)


def test_the_second_view_of_a_base_trained_model_is_augmented(host):
    config = dataclasses.replace(AUGMENTED, train_dataset="base", consistency_weight=1.0)
    training = ModelTraining(config, TrialData(host, config, "cpu"))
    images, index = training.images(), torch.arange(50)
    assert torch.equal(images.batch(index), training.data.base_train().batch(index))
    assert not torch.equal(training._epoch_sets.second.batch(index), images.batch(index))


@pytest.mark.parametrize("warps", ["redrawn", "fixed"])
def test_second_views_are_redrawn_or_fixed_as_the_first_ones_are(host, warps):
    config = dataclasses.replace(AUGMENTED, consistency_weight=1.0, training_warps=warps)
    training = ModelTraining(config, TrialData(host, config, "cpu"))
    index, drawn = torch.arange(50), []
    for _ in range(2):
        training.images()
        drawn.append(training._epoch_sets.second.batch(index))
    assert torch.equal(*drawn) == (warps == "fixed")


def test_both_views_pass_a_frozen_stn(host):
    config = dataclasses.replace(AUGMENTED, stn="pretrained", consistency_weight=1.0)
    stn = freeze(LearntTransformer(config))
    with torch.no_grad():
        stn.affine.bias.copy_(torch.tensor([1.0, 0, 9, 0, 1, 0]))  # everything out of sight: all views are black
    _, metrics = first_loss(host, config, stn)
    assert metrics["train_consistency"] == pytest.approx(0, abs=1e-6)


def test_consistency_brings_views_together(host):
    config = dataclasses.replace(AUGMENTED, train_images=300, epochs=4)
    apart, together = (
        experiment.run(each, host).metrics["latent_displacement"]
        for each in (config, dataclasses.replace(config, consistency_weight=1.0))
    )
    assert together < 0.8 * apart


def test_the_target_base_is_the_base_image_of_each_augmented_one(host):
    config = dataclasses.replace(AUGMENTED, reconstruction_target="base")
    training = ModelTraining(config, TrialData(host, config, "cpu"))
    images, index = training.images(), torch.tensor([5, 3, 60])
    noise = training.model.noise(3, generator(0, "noise"))
    training.model.eval()
    with torch.no_grad():
        _, metrics = training.loss(images, index, 0)
        parameters = training.model.encode(images.batch(index))
        decoded = training.model.decode(training.model.latents(parameters, noise, 0))
        base = training.data.base_train().batch(index)
    assert float(metrics["train_reconstruction"]) == pytest.approx(float((decoded - base).square().mean()), rel=1e-5)
    assert float(metrics["train_reconstruction"]) != pytest.approx(
        float((decoded - images.batch(index)).square().mean()), rel=1e-3
    )


def test_test_losses_with_the_target_base_compare_with_base_images(host):
    config = dataclasses.replace(AUGMENTED, reconstruction_target="base")
    trial = experiment.run(config, host, measures="none")
    data = TrialData(host, config, "cpu")
    with torch.no_grad():
        noise = trial.model.noise(100, generator(0, "augmented test noise"))
        parameters = trial.model.encode(whole(data.augmented_test()))
        error = trial.model.decode(trial.model.latents(parameters, noise, 7)) - whole(data.base_test())
    assert trial.metrics["augmented_reconstruction"] == pytest.approx(float(error.square().mean()), rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"reconstruction_target": "base"}, {}),
        ({"reconstruction_target": "input", "train_dataset": "augmented"}, {"train_dataset": "augmented"}),
        ({"stn": "inverse", "reconstruction_target": "base"}, {"stn": "inverse"}),
        ({"consistency_weight": 0}, {}),
        ({"consistency_weight": 0.0, "consistency_form": "kl"}, {}),
        ({"consistency_weight": 0.5, "consistency_form": "distance"}, {"consistency_weight": 0.5}),
    ],
)
def test_what_changes_nothing_is_the_same_trial(changes, same):
    assert TrialConfig(**changes) == TrialConfig(**same)
    assert TrialConfig(**changes).key == TrialConfig(**same).key


def test_a_base_target_behind_an_stn_is_another_trial_for_base_images_too():
    assert TrialConfig(stn="pretrained", reconstruction_target="base") != TrialConfig(stn="pretrained")


def test_without_a_posterior_views_have_no_kl():
    message = "^`consistency_form` is kl, but autoencoder has no posterior; it must be distance"
    with pytest.raises(ConfigError, match=message):
        TrialConfig(model="autoencoder", consistency_weight=1, consistency_form="kl")
