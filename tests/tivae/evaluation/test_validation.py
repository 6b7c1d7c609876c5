"""The validation split: held out of everything that learns, and moving no test figure."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.small import small
from tests.tivae.tensors import whole
from tivae import experiment
from tivae.config import ConfigError, TrialConfig
from tivae.data.datasets import TrialData

SPLIT = small(train_images=300, validation_images=100, epochs=1)


def test_the_last_training_images_are_held_out(host):
    data = TrialData(host, SPLIT, "cpu")
    assert len(data.base_train()) == len(data.train_labels) == 200
    assert torch.equal(data.base_train().images, torch.tensor(host.train_images[:200]))
    assert torch.equal(data.evaluation_sets()["validation_base"].images, torch.tensor(host.train_images[200:300]))
    assert data.validation_labels.tolist() == host.train_labels[200:300].tolist()
    assert len(data.augmented_train("training warps")) == len(data.redrawn_train(torch.Generator())) == 200


def test_without_a_split_there_are_the_test_sets_alone(host):
    assert set(TrialData(host, small(), "cpu").evaluation_sets()) == {"base", "augmented"}


def test_validation_warps_belong_to_the_image_whatever_the_seed_and_the_split(host):
    one = TrialData(host, SPLIT, "cpu").evaluation_sets()["validation_augmented"]
    changed = dataclasses.replace(SPLIT, validation_images=60, seed=5)
    other = TrialData(host, changed, "cpu").evaluation_sets()["validation_augmented"]
    assert torch.equal(one.matrices[40:], other.matrices)
    assert not torch.equal(one.matrices[:50], TrialData(host, SPLIT, "cpu").augmented_test().matrices[:50])
    assert not torch.equal(whole(one), whole(TrialData(host, SPLIT, "cpu").evaluation_sets()["validation_base"]))


@pytest.mark.parametrize("changes", [{}, {"stn": "pretrained", "stn_epochs": 1, "train_dataset": "augmented"}])
def test_held_out_images_reach_no_weight_and_no_test_figure(host, changes):
    """The same trial on the remaining images alone, without a validation set, has the same metrics."""
    split = experiment.run(dataclasses.replace(SPLIT, **changes), host, measures="none")
    without = dataclasses.replace(SPLIT, **changes, train_images=200, validation_images=None)
    alone = experiment.run(without, host, measures="none")
    added = {f"validation_{test_set}_{metric}" for test_set in ("base", "augmented") for metric in ("accuracy", "loss")}
    assert set(split.metrics) - set(alone.metrics) == added
    assert {name: split.metrics[name] for name in alone.metrics} == alone.metrics
    for name, value in alone.model.state_dict().items():
        assert torch.equal(split.model.state_dict()[name], value)
    assert {"validation_base_loss", "validation_augmented_loss"} <= set(split.epochs[0])
    assert split.metrics["validation_base_loss"] == split.epochs[-1]["validation_base_loss"]
    assert "validation_base_accuracy" not in split.epochs[0]


def test_validation_figures_are_those_of_a_test_set_of_the_same_images(host):
    """The validation images given as test images, with the validation warps, are scored alike."""
    trial = experiment.run(SPLIT, host, measures="none")
    swapped = dataclasses.replace(host, test_images=host.train_images[200:300], test_labels=host.train_labels[200:300])
    tested = experiment.run(
        dataclasses.replace(SPLIT, train_images=200, validation_images=None), swapped, measures="none"
    )
    assert trial.metrics["validation_base_accuracy"] == tested.metrics["base_accuracy"]
    assert trial.metrics["validation_base_loss"] == pytest.approx(tested.metrics["base_loss"], rel=0.05)
    assert 0.2 < trial.metrics["validation_augmented_accuracy"] < 0.95


def test_a_split_that_leaves_too_little_is_refused():
    message = "^`validation_images` is 201; it must be at most 200, so that 100 training images are left"
    with pytest.raises(ConfigError, match=message) as caught:
        TrialConfig(train_images=300, validation_images=201)
    assert caught.value.field_name == "validation_images"


def test_a_class_without_a_training_image_ends_the_trial_with_a_line(host):
    few = host.train_labels != 3
    images, labels = host.train_images[few][:200], host.train_labels[few][:200]
    swapped = dataclasses.replace(host, train_images=np.ascontiguousarray(images), train_labels=labels)
    with pytest.raises(ValueError, match="class 3 has no training image, so no probe can predict it; use more"):
        experiment.run(small(train_images=None, epochs=1), swapped, measures="none")
