"""Brightness, noise and erasing of training views."""

import dataclasses

import pytest
import torch

from tests.small import STANDARD, small
from tivae.config import ConfigError, TrialConfig
from tivae.data.alterations import Alterations
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator
from tivae.training.autoencoder import ModelTraining

CPU = torch.device("cpu")
COUNT = 2000
BLACK, WHITE = STANDARD.outside("black"), STANDARD.white


def altered(images, **fields):
    config = small(train_dataset="augmented", reconstruction_target="base", **fields)
    drawn = Alterations(config, CPU).draw(len(images), generator(0, "test"))
    return drawn(images, slice(0, len(images)))


def grey(value):
    return torch.full((COUNT, 1, 28, 28), BLACK + value * (WHITE - BLACK))


def test_brightness_multiplies_pixels_and_stops_at_white():
    pixels = (altered(grey(0.5), view_brightness=0.4) - BLACK) / (WHITE - BLACK)
    factors = pixels[:, 0, 0, 0] / 0.5
    assert torch.allclose(pixels, pixels[:, :, :1, :1].expand_as(pixels))
    assert factors.min() == pytest.approx(0.6, abs=0.005)
    assert factors.max() == pytest.approx(1.4, abs=0.005)
    assert factors.mean() == pytest.approx(1, abs=4 * 0.4 / (3 * COUNT) ** 0.5)
    assert altered(grey(1.0), view_brightness=0.4).max() <= WHITE + 1e-6
    assert torch.allclose(altered(grey(0.0), view_brightness=0.4), grey(0.0))


def test_noise_has_its_standard_deviation_and_is_another_for_each_image():
    noise = altered(grey(0.5), view_noise=0.2) - grey(0.5)
    # The fields are shared, so that 2,000 images have about 1,600 different ones.
    assert noise.std() == pytest.approx(0.2, rel=4 / (2 * 1500 * 784) ** 0.5)
    assert noise.mean() == pytest.approx(0, abs=4 * 0.2 / (1500 * 784) ** 0.5)
    assert len(noise.flatten(1).unique(dim=0)) > 1400


def test_erased_rectangles_are_as_often_and_as_large_as_said():
    gone = (altered(grey(1.0), view_erasing=0.5) == BLACK).squeeze(1)
    erased = gone.flatten(1).any(1)
    assert float(erased.float().mean()) == pytest.approx(0.5, abs=4 * 0.5 / COUNT**0.5)
    shares = gone[erased].float().mean((1, 2))
    # Rounded to whole pixels, and cut where a rectangle is longer than the image.
    assert shares.min() > 0.01
    assert shares.max() < 0.36
    assert shares.mean() == pytest.approx(0.175, abs=0.01)
    for mask in gone[erased][:50]:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns)
        assert int(mask.sum()) == int(rows.sum()) * int(columns.sum())


def test_an_index_takes_the_alterations_of_its_images():
    config = small(
        train_dataset="augmented", reconstruction_target="base", view_brightness=0.4, view_noise=0.1, view_erasing=0.5
    )
    drawn = Alterations(config, CPU).draw(50, generator(0, "test"))
    images, index = torch.randn(50, 1, 28, 28), torch.tensor([3, 40, 7])
    assert torch.equal(drawn(images[index], index), drawn(images, slice(0, 50))[index])


@pytest.mark.parametrize("train_dataset", ["base", "augmented"])
@pytest.mark.parametrize("warps", ["redrawn", "fixed"])
def test_both_views_are_altered_anew_in_each_epoch_and_nothing_else_is(host, train_dataset, warps):
    config = small(model="vicreg", train_dataset=train_dataset, training_warps=warps, view_erasing=1.0)
    training = ModelTraining(config, TrialData(host, config, "cpu"))
    plain = ModelTraining(dataclasses.replace(config, view_erasing=None), TrialData(host, config, "cpu"))
    index, seen = torch.arange(60), []
    for _ in range(2):
        first = training.images().batch(index)
        without = plain.images().batch(index)
        gone = first != without
        assert (first[gone] == BLACK).all()
        assert gone.flatten(1).any(1).float().mean() > 0.8
        second = training._epoch_sets.second.batch(index)
        assert not torch.equal(second != plain._epoch_sets.second.batch(index), gone)
        seen.append(gone)
    assert not torch.equal(*seen)
    assert torch.equal(training._epoch_sets.base.batch(index), plain._epoch_sets.base.batch(index))


def test_zero_is_none_and_each_field_makes_another_trial():
    plain = TrialConfig(model="vicreg")
    fields = ("view_brightness", "view_noise", "view_erasing", "residual_blocks")
    for name in fields:
        assert TrialConfig(model="vicreg", **{name: 0}).key == plain.key
        assert TrialConfig(model="vicreg", **{name: 1}).training_key != plain.training_key
        assert TrialConfig(model="pixels", **{name: 1}) == TrialConfig(model="pixels")


def test_what_is_decoded_must_not_be_altered():
    with pytest.raises(ConfigError, match="`reconstruction_target` must be base"):
        TrialConfig(view_noise=0.1, train_dataset="augmented")
    assert TrialConfig(view_noise=0.1, train_dataset="augmented", reconstruction_target="base").alters_views
