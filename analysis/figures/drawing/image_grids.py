"""Grids of images: as rows of a frame, pixels included, and drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from analysis.figures.drawing import style

# In pixels of images of 28 x 28, between the images of a grid and for a line of text; larger images have more.
REFERENCE_SIZE, GAP, LINE = 28, 3, 4.5


def image_frame(images: ArrayLike, columns: Mapping[str, Any]) -> pd.DataFrame:
    """A row per image: `columns`, each a value or a list of values, and `pixels`.

    images: (N, size, size), uint8 from 0 to 255 or floats from 0 to 1. `pixels`: the image's values from 0 (black)
    to 255, row by row, as one text.
    """
    values = np.asarray(images)
    if values.dtype != np.uint8:
        values = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    texts = [" ".join(map(str, image.ravel())) for image in values]
    return pd.DataFrame({**columns, "pixels": texts}, index=range(len(texts)))


def pixels_of(frame: pd.DataFrame) -> NDArray[np.uint8]:
    """The images (N, size, size) of a frame that `image_frame` made."""
    values = np.array([text.split() for text in frame["pixels"]], dtype=np.uint8)
    size = math.isqrt(values.shape[-1])
    return values.reshape(-1, size, size)


def difference(first: pd.DataFrame, second: pd.DataFrame) -> float:
    """How far the images of two such frames are apart: their pixels' mean absolute difference, a share of white."""
    return float(np.abs(pixels_of(first).astype(float) - pixels_of(second)).mean()) / 255


def draw_grid(
    ax: Axes,
    images: NDArray[np.uint8],
    columns: int,
    *,
    column_labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    captions: Sequence[str] = (),
    caption_lines: int = 0,
    rows_apart: int = 0,
) -> Axes:
    """Draws images (N, size, size) row by row, `columns` in a row; labels above the columns and left of the rows.

    captions: one text under each image, of at most `caption_lines` lines. rows_apart: a wider gap after every so many
    rows.
    """
    # One picture for all: an axis for each image takes seconds to lay out.
    size = images.shape[1]
    line = LINE * size / REFERENCE_SIZE
    step_x = step(size)
    gap, step_y = step_x - size, step_x + round(line * caption_lines)
    rows = -(-len(images) // columns)
    groups = (rows - 1) // rows_apart if rows_apart else 0
    tops = [row * step_y + (row // rows_apart * 2 * gap if rows_apart else 0) for row in range(rows)]
    canvas = np.full((rows * step_y - gap + groups * 2 * gap, columns * step_x - gap), np.nan)
    for number, image in enumerate(images):
        top, left = tops[number // columns], number % columns * step_x
        canvas[top : top + size, left : left + size] = image
    colours = matplotlib.colormaps["gray"].with_extremes(bad="white")
    ax.imshow(canvas, cmap=colours, vmin=0, vmax=255, interpolation="nearest")
    ax.set_xticks([column * step_x + size / 2 - 0.5 for column in range(len(column_labels))], column_labels)
    ax.set_yticks([top + size / 2 - 0.5 for top in tops[: len(row_labels)]], row_labels)
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    for number, text in enumerate(captions):
        middle, bottom = number % columns * step_x + size / 2 - 0.5, tops[number // columns] + size
        for number_of_line, part in enumerate(text.split("\n"), start=1):
            ax.text(middle, bottom - 0.5 + line * number_of_line, part, ha="center", va="baseline", fontsize=6.5)
    # What is drawn on the grid later must not move its limits.
    ax.autoscale(False)
    return ax


def step(size: int) -> int:
    """From one image of a grid to the next, in pixels of images of `size` x `size`."""
    return size + round(GAP * size / REFERENCE_SIZE)


def grid_height(rows: int, columns: int) -> float:
    """Inches for a grid that fills a figure's width but for 0.9 inches of labels at its left."""
    return (style.FULL_WIDTH - 0.9) / (columns * (REFERENCE_SIZE + GAP)) * rows * (REFERENCE_SIZE + GAP) + 0.45
