"""One warp by a known amount."""

import numpy as np
import pytest
import torch

from analysis.figures.drawing.known_warps import KNOWN_WARPS, warped
from tests.small import STANDARD
from tivae.config import TrialConfig


def pixels(dataset):
    return STANDARD.pixels(dataset.batch(slice(None))).numpy() * 255


@pytest.mark.parametrize("warp", KNOWN_WARPS, ids=lambda warp: warp.name)
def test_the_identity_returns_the_images(warp, images):
    originals = torch.tensor(images.test_images[:3])

    assert np.allclose(pixels(warped(originals, warp.name, warp.identity, TrialConfig())), originals, atol=0.01)
    assert warp.identity in warp.amounts


def test_a_shift_of_two_pixels_moves_the_image_to_the_right(images):
    moved = pixels(warped(torch.tensor(images.test_images[:3]), "shift_x", 2, TrialConfig()))

    assert np.allclose(moved[:, :, 2:], images.test_images[:3, :, :-2], atol=0.01)
    assert np.allclose(moved[:, :, :2], 0, atol=0.01)


def test_a_rotation_turns_the_picture_clockwise(images):
    turned = pixels(warped(torch.tensor(images.test_images[:3]), "rotation", 90, TrialConfig()))

    assert np.allclose(turned, np.rot90(images.test_images[:3], k=-1, axes=(1, 2)), atol=0.05)


def test_a_scale_of_one_half_keeps_the_picture_in_the_middle():
    white = torch.full((1, 28, 28), 255, dtype=torch.uint8)
    small = pixels(warped(white, "scale", 0.5, TrialConfig()))[0]

    assert np.allclose(small[8:20, 8:20], 255, atol=0.01)
    assert np.allclose(small[:6], 0, atol=0.01)


def test_the_range_of_the_augmentation_is_the_configs():
    config = TrialConfig(rotation_degrees=5, shift_pixels=3, scale_range=0.1)

    assert [warp.trained_range(config) for warp in KNOWN_WARPS] == [(-5, 5), (-3, 3), (0.9, 1.1)]


@pytest.mark.parametrize(
    ("number", "amount", "text"), [(0, -5, "−5°"), (0, 0, "0°"), (1, 2, "+2 px"), (2, 0.5, "×0.5")]
)
def test_amounts_are_shown_with_their_unit(number, amount, text):
    assert KNOWN_WARPS[number].shown(amount) == text


def test_an_unknown_kind_is_refused(images):
    with pytest.raises(ValueError, match="'shear'; it must be one of rotation, shift_x, scale"):
        warped(torch.tensor(images.test_images[:1]), "shear", 1, TrialConfig())
