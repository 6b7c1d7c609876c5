"""The measures of a whole trial, on encoders for which theory says what must come out."""

import math

import numpy as np
import pytest
import torch

from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images
from tivae.evaluation import measures
from tivae.evaluation.readout import read_out
from tivae.models.controls.pixels import Pixels

# Only whole pixels are moved, and the pictures keep within the frame: then sums over the image are exactly invariant.
SHIFTS = TrialConfig(
    **{"model": "pixels", "rotation_degrees": 0, "scale_range": 0, "whole_pixel_shifts": True},
    **{"warp_probability": 1.0, "train_images": 200, "test_images": 100},
)


class Constant(Pixels):
    def features(self, parameters, kind, noise=None):
        return torch.ones(len(parameters), 3)


class CoarsePixels(Pixels):
    """Pixels in blocks of 4 x 4: fewer numbers than images, so that a shift can be read from them."""

    def features(self, parameters, kind, noise=None):
        return torch.nn.functional.avg_pool2d(parameters.view(-1, 1, 28, 28), 4).flatten(1)


class OrbitAverage(Pixels):
    """x and x^2 of one pixel, averaged over all shifts of the image."""

    def features(self, parameters, kind, noise=None):
        pixels = parameters.double() + 0.2860 / 0.3530
        return torch.stack([pixels.mean(1), pixels.square().mean(1)], dim=1).float()


@pytest.fixture(scope="module")
def pictures():
    """300 images of noise in the middle 12 x 12 pixels, brighter in each of the ten classes."""
    source = np.random.default_rng(0)
    labels = (np.arange(300) % 10).astype(np.uint8)
    images = np.zeros((300, 28, 28), np.uint8)
    images[:, 8:20, 8:20] = source.integers(0, 20, (300, 12, 12)) + 20 * labels[:, None, None]
    return Images(images[:200], labels[:200], images[200:], labels[200:], source="made up")


@pytest.fixture(scope="module")
def columns_of(pictures):
    data = TrialData(pictures, SHIFTS, "cpu")

    def of(encoder):
        model = encoder(SHIFTS).eval()
        readout = read_out(SHIFTS, data, model, None)
        return readout.metrics | measures.measure(SHIFTS, data, model, None, readout, "all").columns

    return of


def test_an_exactly_invariant_encoder_is_reported_as_one(columns_of):
    found = columns_of(OrbitAverage)
    assert found["latent_displacement"] == pytest.approx(0, abs=1e-9)
    assert found["latent_displacement_within_class"] == pytest.approx(0, abs=1e-6)
    assert found["prediction_consistency"] == found["prediction_pair_consistency"] == 1
    assert found["worst_of_10_accuracy"] == found["augmented_accuracy"] == found["base_accuracy_fit_augmented"] > 0.9
    assert max(found["shift_x_r_squared"], found["shift_y_r_squared"]) < 0.1
    assert max(found["local_sensitivity_shift_x"], found["local_sensitivity_shift_y"]) < 1e-4
    # Growing pictures do have more bright pixels: it is invariant to shifts, not blind.
    assert found["local_sensitivity_scale"] > 0.1


def test_a_constant_encoder_does_not_pass_for_invariant(columns_of):
    found = columns_of(Constant)
    assert all(math.isnan(found[name]) for name in ("latent_displacement", "local_sensitivity_shift_x"))
    assert found["prediction_consistency"] == 1
    assert found["augmented_accuracy"] == found["worst_of_10_accuracy"] == found["rotation_accuracy_area"] == 0.1
    assert found["shift_x_r_squared"] == pytest.approx(0, abs=1e-6)


def test_pixels_are_neither_invariant_nor_do_they_lose_the_shift(columns_of):
    found = columns_of(CoarsePixels)
    assert found["latent_displacement"] > 0.1
    assert found["latent_displacement_within_class"] > 1
    assert found["worst_of_10_accuracy"] < found["base_accuracy_fit_augmented"]
    assert min(found["shift_x_r_squared"], found["shift_y_r_squared"]) > 0.5
    assert found["local_sensitivity_shift_x"] > 0.01
