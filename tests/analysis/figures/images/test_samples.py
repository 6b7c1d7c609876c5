"""Base and augmented samples: the right images with the right warps."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from analysis.figures.drawing import image_grids as grids
from analysis.figures.drawing.sources import Sources
from analysis.figures.images import samples
from tests.analysis.synthetic import study_of
from tivae.config import TrialConfig
from tivae.data import warps
from tivae.data.warps import WarpParameters


def test_base_images_are_the_test_images(images):
    frame = samples.numbers(images, TrialConfig(), of_each_class=2)
    base = frame[frame["test_set"] == "base"]

    assert len(base) == 20
    assert np.array_equal(grids.pixels_of(base), images.test_images[base["image"]])
    assert np.array_equal(base["label"], images.test_labels[base["image"]])


def test_an_augmented_image_is_its_base_image_under_the_warp_beside_it(images):
    frame = samples.numbers(images, TrialConfig(warp_probability=1.0))
    row = frame[frame["test_set"] == "augmented"].iloc[[7]]
    parameters = WarpParameters(
        **{
            name: torch.tensor(row[name].to_numpy(), dtype=torch.float32)
            for name in ("rotation_degrees", "shift_x_pixels", "shift_y_pixels", "scale")
        }
    )
    original = torch.tensor(images.test_images[row["image"]]).unsqueeze(1) / 255
    warped = warps.warp(original, warps.sampling_matrices(parameters, 28)).squeeze(1)

    # Half a grey level of rounding, and what six digits of the warp leave.
    assert np.abs(warped.numpy() * 255 - grids.pixels_of(row).astype(float)).max() < 0.6


def test_without_warps_both_sets_are_equal(images):
    frame = samples.numbers(images, TrialConfig(warp_probability=0.0))
    base, augmented = (frame[frame["test_set"] == name].reset_index(drop=True) for name in ("base", "augmented"))

    pd.testing.assert_frame_equal(base.drop(columns="test_set"), augmented.drop(columns="test_set"))


def test_the_first_images_of_each_class_are_taken():
    labels = np.array([2, 0, 2, 0, 2])

    assert samples.first_of_each_class(labels, 2).tolist() == [1, 3, 0, 2]


def test_augmented_images_stand_below_their_base_images(images):
    frame = samples.numbers(images, TrialConfig(), of_each_class=2)
    ax = samples.draw(Figure().subplots(), frame)

    rows = [text.get_text() for text in ax.get_yticklabels()]
    assert rows == ["base", "augmented", "base", "augmented"]
    middle = round(ax.get_yticks()[1] + 0.5)
    second_row = ax.images[0].get_array()[middle - 14 : middle + 14, :28]
    first = frame[(frame["test_set"] == "augmented") & (frame["label"] == 0)].iloc[[0]]
    assert np.array_equal(second_row, grids.pixels_of(first)[0])


@pytest.mark.parametrize(
    ("varied", "is_one"), [({"latent_dim": 5}, True), ({"fill": "grey"}, False), ({"rotation_degrees": 5}, False)]
)
def test_the_test_set_is_said_to_be_one_where_it_is(tmp_path, images, varied, is_one):
    study = study_of(tmp_path, [TrialConfig(), TrialConfig(**varied)])
    caption = samples.drawn(Sources(study, images))[0].caption

    assert ("The same for all trials." in caption) == is_one


def test_a_class_with_fewer_images_shortens_the_grid(images):
    frame = samples.numbers(images, TrialConfig(), of_each_class=3)
    lonely = frame[(frame["label"] != 4) | (frame["image"] == 4)]
    ax = samples.draw(Figure().subplots(), lonely)

    assert len(ax.get_yticklabels()) == 2
