import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.small import STANDARD, small
from tivae.data import datasets, warps
from tivae.data.datasets import Dataset, TrialData
from tivae.data.randomness import generator
from tivae.training.autoencoder import ModelTraining
from tivae.training.stn_pretraining import StnTraining

AUGMENTED = {"train_dataset": "augmented"}


def data(host, **changes):
    return TrialData(host, small(**changes), "cpu")


def whole(dataset):
    return torch.cat(list(dataset.batches(64)))


def test_the_training_images_have_mean_0_and_standard_deviation_1(host):
    images = STANDARD.standardised(torch.tensor(host.train_images))
    # The paper's constants are rounded to 4 digits.
    assert images.double().mean().item() == pytest.approx(0, abs=0.5e-4 / 0.3530 + 1e-5)
    assert images.double().std().item() == pytest.approx(1, abs=0.5e-4 / 0.3530 + 1e-5)
    assert images.dtype == torch.float32
    assert images.shape == (60_000, 1, 28, 28)


def test_standardised_pixels_span_what_is_documented():
    ends = STANDARD.standardised(torch.tensor([[[0, 255]]], dtype=torch.uint8)).flatten().tolist()
    assert ends == pytest.approx([-0.2860 / 0.3530, (1 - 0.2860) / 0.3530])
    assert ends == pytest.approx([-0.81, 2.02], abs=0.005)


@pytest.mark.parametrize("std", [0.3530, 0.3205])
def test_another_std_scales_all_that_a_trial_sees(host, std):
    """As if standardised images had been multiplied; the pixels are the same."""
    usual = data(host, **AUGMENTED)
    drawn = data(host, **AUGMENTED, pixel_std=std)
    factor = 0.3530 / std
    sets = {**drawn.evaluation_sets(), "train": drawn.base_train()}
    for name, expected in {**usual.evaluation_sets(), "train": usual.base_train()}.items():
        torch.testing.assert_close(whole(sets[name]), factor * whole(expected), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            replace(STANDARD, std=std).pixels(whole(sets[name])), STANDARD.pixels(whole(expected)), rtol=0, atol=1e-5
        )
    assert (drawn.config.key == usual.config.key) == (std == 0.3530)


def test_standardising_leaves_its_input_as_it_is():
    images = torch.full((2, 28, 28), 7, dtype=torch.uint8)
    STANDARD.standardised(images)
    assert (images == 7).all()


def test_to_pixels_is_the_inverse_of_standardising_and_stays_within_0_and_1(host):
    images = torch.tensor(host.test_images[:50])
    torch.testing.assert_close(STANDARD.pixels(STANDARD.standardised(images)), images / 255, rtol=0, atol=1e-6)
    assert STANDARD.pixels(torch.tensor([[[[-5.0, 5.0]]]])).tolist() == [[[0.0, 1.0]]]


@pytest.mark.parametrize(("fill", "pixel"), [("black", 0.0), ("grey", 0.2860)])
def test_the_fill_is_a_pixel_value(fill, pixel):
    assert STANDARD.outside(fill) * 0.3530 + 0.2860 == pytest.approx(pixel)


@pytest.mark.parametrize("fill", ["black", "grey"])
def test_warping_standardised_images_is_standardising_warped_pixels(host, fill):
    """Standardising after the warp is what is meant; the code does it before, with a fill to match."""
    warped = data(host, fill=fill, warp_probability=1).augmented_test()
    pixels = torch.tensor(host.test_images[:100]).unsqueeze(1) / 255
    outside = 0.0 if fill == "black" else 0.2860
    expected = (warps.warp(pixels, warped.matrices, fill=outside) - 0.2860) / 0.3530
    torch.testing.assert_close(whole(warped), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 100, 1000])
@pytest.mark.parametrize("test_set", ["base_test", "augmented_test"])
def test_batches_hold_each_image_once_and_in_order(host, test_set, batch_size):
    images = getattr(data(host), test_set)()
    batches = list(images.batches(batch_size))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= batch_size
    together = torch.cat(batches)
    assert together.shape == (len(images), 1, 28, 28)
    for number in range(0, len(images), 17):
        alone = images.batch(torch.tensor([number]))
        torch.testing.assert_close(together[number : number + 1], alone, rtol=0, atol=1e-6)


def test_a_batch_is_taken_at_any_index(host):
    images, index = data(host).augmented_test(), torch.tensor([5, 3, 3, 90])
    torch.testing.assert_close(images.batch(index), whole(images)[index], rtol=0, atol=1e-6)


def test_through_is_the_transform_of_every_image(host):
    images = data(host).augmented_test()
    doubled = images.transformed(lambda batch: 2 * batch, batch_size=30)
    assert len(doubled) == len(images)
    torch.testing.assert_close(whole(doubled), 2 * whole(images), rtol=0, atol=1e-5)


def test_base_images_are_the_first_of_the_host(host):
    drawn = data(host, train_images=150, test_images=120)
    assert torch.equal(whole(drawn.base_train()), STANDARD.standardised(torch.tensor(host.train_images[:150])))
    assert torch.equal(whole(drawn.base_test()), STANDARD.standardised(torch.tensor(host.test_images[:120])))
    assert np.array_equal(drawn.train_labels, host.train_labels[:150])
    assert np.array_equal(drawn.test_labels, host.test_labels[:120])
    assert drawn.train_labels.dtype == drawn.test_labels.dtype == np.int64


def test_all_images_are_taken_unless_others_are_given(host):
    everything = data(host, train_images=None, test_images=None)
    assert len(everything.base_train()) == len(everything.train_labels) == 60_000
    assert len(everything.base_test()) == len(everything.augmented_test()) == len(everything.test_labels) == 10_000


def test_the_hosts_arrays_are_copied_not_shared(host):
    images = data(host)
    images.base_train().images.zero_()
    assert host.train_images[:200].any()


@pytest.mark.parametrize(
    "changes",
    [
        *({"seed": 1}, {"model": "categorical_vae"}, {"batch_size": 7}, AUGMENTED, {"stn": "pretrained"}),
        *({"train_images": 300}, {"hidden_widths": (4,)}, {"kl_weight": 1.0}, AUGMENTED | {"training_warps": "fixed"}),
    ],
)
def test_the_augmented_test_set_is_the_same_for_every_trial(host, changes):
    assert torch.equal(whole(data(host, **changes).augmented_test()), whole(data(host).augmented_test()))


def test_a_smaller_test_set_is_the_beginning_of_the_whole(host):
    few, many = data(host, test_images=100).augmented_test(), data(host, test_images=None).augmented_test()
    assert torch.equal(few.matrices, many.matrices[:100])
    assert torch.equal(few.images, many.images[:100])


@pytest.mark.parametrize(
    "changes",
    [
        *({"rotation_degrees": 20}, {"shift_pixels": 2}, {"scale_range": 0.1}, {"warp_probability": 0.9}),
        *({"interpolation": "nearest"}, {"fill": "grey"}, {"whole_pixel_shifts": True}),
    ],
)
def test_the_augmented_test_set_follows_the_warp_settings(host, changes):
    assert not torch.equal(whole(data(host, **changes).augmented_test()), whole(data(host).augmented_test()))


def test_the_augmented_test_set_is_not_drawn_from_a_trials_seed(monkeypatch, host):
    usual = whole(data(host).augmented_test())
    monkeypatch.setattr(datasets, "TEST_SET_SEED", 1)
    assert not torch.equal(whole(data(host).augmented_test()), usual)


def test_without_warps_augmented_images_are_the_base_images(host):
    still = data(host, warp_probability=0)
    torch.testing.assert_close(whole(still.augmented_test()), whole(still.base_test()), rtol=0, atol=1e-4)


def test_augmented_training_images_depend_on_seed_and_purpose(host):
    one = data(host).augmented_train("training warps").matrices
    assert torch.equal(one, data(host).augmented_train("training warps").matrices)
    assert not torch.equal(one, data(host).augmented_train("probe warps").matrices)
    assert not torch.equal(one, data(host, seed=1).augmented_train("training warps").matrices)


def test_redrawn_training_images_take_the_next_warps_of_their_generator(host):
    images, source = data(host), generator(0, "x")
    first, second = images.redrawn_train(source), images.redrawn_train(source)
    assert not torch.equal(first.matrices, second.matrices)
    assert torch.equal(first.matrices, images.redrawn_train(generator(0, "x")).matrices)
    assert torch.equal(first.images, second.images)


def model_training(host, **changes):
    config = small(**changes)
    return ModelTraining(config, TrialData(host, config, "cpu"), None)


def stn_training(host, **changes):
    config = small(stn="pretrained", **changes)
    return StnTraining(config, TrialData(host, config, "cpu"))


@pytest.mark.parametrize("make", [model_training, stn_training])
def test_redrawn_warps_differ_between_epochs_and_fixed_ones_do_not(host, make):
    redrawn = make(host, train_dataset="augmented", training_warps="redrawn")
    assert not torch.equal(whole(redrawn.images()), whole(redrawn.images()))
    fixed = make(host, train_dataset="augmented", training_warps="fixed")
    assert torch.equal(whole(fixed.images()), whole(fixed.images()))
    assert not torch.equal(whole(fixed.images()), whole(fixed.data.base_train()))


def test_base_training_images_are_the_same_in_every_epoch(host):
    training = model_training(host)
    for _ in range(2):
        assert torch.equal(whole(training.images()), whole(training.data.base_train()))


def test_fixed_warps_are_the_same_for_the_stn_and_for_the_model_behind_it(host):
    changes = {"train_dataset": "augmented", "training_warps": "fixed"}
    assert torch.equal(
        model_training(host, **changes).images().matrices, stn_training(host, **changes).images().matrices
    )


def test_a_dataset_is_immutable(host):
    with pytest.raises(dataclasses.FrozenInstanceError):
        data(host).base_test().fill = 1.0


def test_standardised_images_are_taken_as_they_are():
    images = torch.rand(3, 1, 28, 28, generator=generator(0, "images"))
    assert torch.equal(whole(Dataset(images)), images)
