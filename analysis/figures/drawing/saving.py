"""A figure on disk: PNG, PDF and SVG with the numbers it shows beside them as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis import formats
from analysis.figures.drawing import style
from tivae.io.files import replacing

# No dates in the files: the same figure gives the same bytes.
FORMATS: Mapping[str, Mapping[str, Any]] = {
    "png": {},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}


class NotSupported(ValueError):
    """The study lacks the data of a figure or table; the message says which."""


@dataclass(frozen=True, eq=False)
class DrawnFigure:
    """A figure in memory.

    name: of its files, without ending. data: the numbers that it shows, pixels of images included. alt: what is seen,
    for those who do not see it; the title and caption unless given.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    data: pd.DataFrame
    alt: str = ""


@dataclass(frozen=True)
class SavedFigure:
    """A figure on disk. paths: its file by format ("png", "pdf", "svg", of images "dark"); data_path: its CSV."""

    name: str
    title: str
    caption: str
    paths: Mapping[str, Path]
    data_path: Path
    alt: str = ""


def save(drawn: DrawnFigure, folder: Path) -> SavedFigure:
    """Writes all files of a figure into `folder`, which is made where it is missing.

    Each file is replaced whole or not at all, the CSV first, so that no picture stands beside older numbers.

    Raises `OSError` if the folder can't be written.
    """
    data_path = folder / f"{drawn.name}.csv"
    with replacing(data_path) as file:
        file.write(formats.csv(drawn.data).encode())
    paths = {}
    with style.applied():
        for suffix, metadata in FORMATS.items():
            paths[suffix] = folder / f"{drawn.name}.{suffix}"
            with replacing(paths[suffix]) as file:
                drawn.figure.savefig(file, format=suffix, metadata=metadata, bbox_inches="tight", pad_inches=0.03)
            # Laid out once: most of the time of a figure with many panels is its layout.
            drawn.figure.set_layout_engine("none")
        if style.shows_images(drawn.figure):
            paths["dark"] = folder / f"{drawn.name}-dark.png"
            style.darken(drawn.figure)
            with replacing(paths["dark"]) as file:
                drawn.figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.03, transparent=True)
    alt = drawn.alt or f"{drawn.title}. {drawn.caption}"
    return SavedFigure(drawn.name, drawn.title, drawn.caption, paths, data_path, alt)
