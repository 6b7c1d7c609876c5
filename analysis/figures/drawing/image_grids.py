"""Grids of images: as rows of a frame, pixels included, and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from analysis.figures.drawing import style

SIZE = 28
GAP = 3  # pixels between the images of a grid
LINE = 4.5  # pixels for a line of text between them


def image_frame(images: ArrayLike, columns: Mapping[str, Any]) -> pd.DataFrame:
    """A row per image: `columns`, each a value or a list of values, and `pixels`.

    images: (N, 28, 28), uint8 from 0 to 255 or floats from 0 to 1. `pixels`: the image's 784 values from 0 (black)
    to 255, row by row, as one text.
    """
    values = np.asarray(images)
    if values.dtype != np.uint8:
        values = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    texts = [" ".join(map(str, image.ravel())) for image in values]
    return pd.DataFrame({**columns, "pixels": texts}, index=range(len(texts)))


def pixels_of(frame: pd.DataFrame) -> NDArray[np.uint8]:
    """The images (N, 28, 28) of a frame that `image_frame` made."""
    return np.array([text.split() for text in frame["pixels"]], dtype=np.uint8).reshape(-1, SIZE, SIZE)


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
    """Draws images (N, 28, 28) row by row, `columns` in a row; labels above the columns and left of the rows.

    captions: one text under each image, of at most `caption_lines` lines. rows_apart: a wider gap after every so many
    rows.
    """
    # One picture for all: an axis for each image takes seconds to lay out.
    step_x, step_y = SIZE + GAP, SIZE + GAP + round(LINE * caption_lines)
    rows = -(-len(images) // columns)
    groups = (rows - 1) // rows_apart if rows_apart else 0
    tops = [row * step_y + (row // rows_apart * 2 * GAP if rows_apart else 0) for row in range(rows)]
    canvas = np.full((rows * step_y - GAP + groups * 2 * GAP, columns * step_x - GAP), np.nan)
    for number, image in enumerate(images):
        top, left = tops[number // columns], number % columns * step_x
        canvas[top : top + SIZE, left : left + SIZE] = image
    colours = matplotlib.colormaps["gray"].with_extremes(bad="white")
    ax.imshow(canvas, cmap=colours, vmin=0, vmax=255, interpolation="nearest")
    ax.set_xticks([column * step_x + SIZE / 2 - 0.5 for column in range(len(column_labels))], column_labels)
    ax.set_yticks([top + SIZE / 2 - 0.5 for top in tops[: len(row_labels)]], row_labels)
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    ax.spines[:].set_visible(False)
    for number, text in enumerate(captions):
        middle, bottom = number % columns * step_x + SIZE / 2 - 0.5, tops[number // columns] + SIZE
        for line, part in enumerate(text.split("\n"), start=1):
            ax.text(middle, bottom - 0.5 + LINE * line, part, ha="center", va="baseline", fontsize=6.5)
    # What is drawn on the grid later must not move its limits.
    ax.autoscale(False)
    return ax


def grid_height(rows: int, columns: int, *, width: float = style.FULL_WIDTH, margin: float = 0.9) -> float:
    """Inches for a grid that fills `width` but `margin` inches of labels at its left."""
    return (width - margin) / (columns * (SIZE + GAP)) * rows * (SIZE + GAP) + 0.45
