"""Images as rows of a frame, and drawn from it."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.figures.drawing import image_grids


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)


def test_pixels_go_into_a_frame_and_come_back(pictures):
    frame = image_grids.image_frame(pictures, {"label": range(5), "test_set": "base"})

    assert list(frame) == ["label", "test_set", "pixels"]
    assert np.array_equal(image_grids.pixels_of(frame), pictures)


def test_shares_become_whole_pixels(pictures):
    frame = image_grids.image_frame(pictures / 255, {})

    assert np.array_equal(image_grids.pixels_of(frame), pictures)


def test_values_outside_are_cut():
    frame = image_grids.image_frame(np.stack([np.full((28, 28), -0.5), np.full((28, 28), 1.5)]), {})

    assert [np.unique(image).tolist() for image in image_grids.pixels_of(frame)] == [[0], [255]]


@pytest.mark.parametrize(
    "options", [{}, {"rows_apart": 1}, {"captions": ["a\nb", "c", "d", "e", "f"], "caption_lines": 2}]
)
def test_each_image_is_drawn_at_its_place(pictures, options):
    ax = Figure().subplots()
    image_grids.draw_grid(ax, pictures, 2, row_labels=["one", "two", "three"], **options)

    canvas = ax.images[0].get_array()
    columns = [slice(0, 28), slice(31, 59)]
    for number, picture in enumerate(pictures):
        middle = round(ax.get_yticks()[number // 2] + 0.5)
        rows = slice(middle - 14, middle + 14)
        assert np.array_equal(canvas[rows, columns[number % 2]], picture)
    assert np.ma.count(canvas) == pictures.size
    assert [text.get_text() for text in ax.texts] == (list("abcdef") if "captions" in options else [])
