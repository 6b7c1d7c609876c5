"""Canonicalisation by moments, in front of every model."""

import dataclasses

import numpy as np
import pytest
import torch

import tivae
from tests.small import small
from tests.warping import parameters
from tivae import experiment, records, stages
from tivae.config import ConfigError, TrialConfig
from tivae.data import warps
from tivae.data.datasets import Dataset, TrialData
from tivae.data.randomness import generator
from tivae.models import MODELS
from tivae.training.autoencoder import ModelTraining

CONFIG = small(model="pca", front="moments")
SIZE = 28
BLACK = CONFIG.standardisation.outside("black")


def ellipse(**drawn):
    """A smooth ellipse, twice as tall as wide, moved by a warp; standardised (1, 1, 28, 28)."""
    y, x = torch.meshgrid(*(torch.arange(SIZE) - (SIZE - 1) / 2,) * 2, indexing="ij")
    image = torch.exp(-(x**2 / 8 + y**2 / 32)) + BLACK
    return warps.warp(image[None, None], warps.sampling_matrices(parameters(**drawn), SIZE), fill=BLACK)


def front_for(images, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    front = experiment.build_stn(config)
    front.fit(Dataset(images, standardisation=config.standardisation))
    return front


@pytest.mark.parametrize(
    "drawn",
    [
        {},
        {"rotation": 8.0},
        {"shift_x": 3.0, "shift_y": -2.0},
        {"scale": 1.15},
        {"rotation": -6.0, "shift_x": -2.5, "shift_y": 1.0, "scale": 0.9},
    ],
)
def test_it_undoes_the_warp_of_an_image_whose_axis_is_clear(drawn):
    front, warped = front_for(ellipse()), ellipse(**drawn)
    found, expected = front.estimated_warps(warped), parameters(**drawn)
    # Moments are blurred by the two bilinear samplings.
    for name, tolerance in (
        ("rotation_degrees", 0.2),
        ("shift_x_pixels", 0.02),
        ("shift_y_pixels", 0.02),
        ("scale", 0.01),
    ):
        assert float(getattr(found, name)) == pytest.approx(float(getattr(expected, name)), abs=tolerance)
    # Each of two readings is off by at most (f_xx + f_yy) / 8, of which exp(-x^2 / 8 - y^2 / 32) has (1/4 + 1/16) / 8.
    assert (front(warped) - ellipse()).abs().max() < 0.08


def test_a_centre_that_is_not_the_frames_is_kept():
    """The reference is that of the training images: an image like these stays as it is."""
    off = ellipse(shift_x=2.0, shift_y=1.0)
    front = front_for(off)
    torch.testing.assert_close(front.matrices(off), torch.eye(2, 3)[None], rtol=0, atol=1e-4)
    turn = warps.sampling_matrices(parameters(rotation=7.0), SIZE)
    turned = front.estimated_warps(warps.warp(off, turn, fill=BLACK))
    assert float(turned.rotation_degrees) == pytest.approx(7.0, abs=0.2)
    assert float(turned.shift_x_pixels) == pytest.approx(0, abs=0.03)


def test_what_it_undoes_stays_within_the_ranges_of_the_augmentation():
    front = front_for(ellipse())
    far = ellipse(rotation=30.0, shift_x=8.0, scale=1.6)
    read = warps.parameters(warps.inverse(front.matrices(far)), SIZE)
    assert float(read.rotation_degrees) == pytest.approx(10, abs=1e-3)
    assert float(read.shift_x_pixels) == pytest.approx(4, abs=1e-3)
    assert float(read.scale) == pytest.approx(1.2, abs=1e-4)
    still = front_for(ellipse(), rotation_degrees=0.0, shift_pixels=0.0, scale_range=0.0)
    torch.testing.assert_close(still.matrices(far), torch.eye(2, 3)[None], rtol=0, atol=1e-6)


def test_black_images_stay_as_they_are():
    front, black = front_for(ellipse()), torch.full((2, 1, SIZE, SIZE), BLACK)
    torch.testing.assert_close(front.matrices(black), torch.eye(2, 3).expand(2, 2, 3), rtol=0, atol=1e-5)
    nothing = front_for(black)
    assert torch.isfinite(nothing.reference).all()


def test_it_undoes_part_of_each_kind_of_warp_of_real_images(host):
    trial = experiment.run(small(model="pca", front="moments", test_images=600), host).metrics
    assert trial["stn_undone_rotation"] > 0.3
    assert trial["stn_undone_shift"] > 0.6
    assert trial["stn_undone_scale"] > 0.3
    without = experiment.run(small(model="pca", test_images=600), host).metrics
    assert trial["latent_displacement"] < 0.7 * without["latent_displacement"]


@pytest.mark.parametrize("model", sorted(name for name in MODELS if "warps" not in MODELS[name].wants))
def test_every_model_and_control_is_trained_and_read_behind_it(host, tmp_path, model):
    config = small(model=model, front="moments", train_dataset="augmented", epochs=1, latent_dim=4)
    record = stages.run_trial(config, host, "cpu", tmp_path, measures="none")
    assert record["status"] == "finished", record["error"]
    loaded = tivae.load(records.trial_folder(tmp_path, config.key))
    stored = torch.load(records.trial_folder(tmp_path, config.key) / "encodings.pt", weights_only=True)["base"][:20]
    np.testing.assert_allclose(loaded.encode(host.test_images[:20]), stored.numpy(), rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        seen = loaded.stn(loaded.config.standardisation.standardised(torch.tensor(host.test_images[:20])))
        expected = loaded.model.features(loaded.model.encode(seen), config.probe_features)
    torch.testing.assert_close(stored, expected, rtol=1e-3, atol=1e-4)


def test_training_sees_what_comes_through_it(host):
    config = small(model="autoencoder", front="moments", train_dataset="augmented")
    data = TrialData(host, config, "cpu")
    front = experiment.fit_front(config, data)
    training = ModelTraining(config, data, front)
    index = torch.arange(30)
    drawn = data.redrawn_train(generator(config.seed, "training warps")).batch(index)
    torch.testing.assert_close(training.images().batch(index), front(drawn))


def test_a_front_is_part_of_the_key_and_stands_alone():
    plain = TrialConfig()
    assert TrialConfig(front="moments").key != plain.key
    assert TrialConfig(front="moments").training_key != plain.training_key
    assert TrialConfig.from_dict(TrialConfig(front="moments").to_dict()).front == "moments"
    assert "front" not in {name for name, value in plain.to_dict().items() if value is not None}
    with pytest.raises(ConfigError, match=r"`front` is moments and `stn` is pretrained.*`stn` must be none"):
        TrialConfig(front="moments", stn="pretrained")
    # Its bounds are those of the warps.
    assert TrialConfig(front="moments", shift_pixels=3.0).training_key != TrialConfig(front="moments").training_key
