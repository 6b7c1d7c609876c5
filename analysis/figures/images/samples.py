"""Figure 2 of the paper: images of the base test set, and the same images in the augmented test set."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from analysis.figures.drawing import image_grids as grids
from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import described, has_one_test_set
from analysis.figures.drawing.saving import DrawnFigure
from analysis.figures.drawing.sources import Sources
from analysis.frames.labels import percent
from tivae.config import TrialConfig
from tivae.data import warps
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images

IMAGES_OF_A_CLASS = 3


def numbers(data: Images, config: TrialConfig, of_each_class: int = IMAGES_OF_A_CLASS) -> pd.DataFrame:
    """A row per image shown: its number `image` in the test set, label, test_set, its warp and its pixels.

    The first `of_each_class` test images of each class that is present. The warp is the one the image has in the
    augmented test set: rotation_degrees, shift_x_pixels, shift_y_pixels and scale as in `tivae.data.warps`.
    """
    sets = TrialData(data, config, "cpu")
    chosen = first_of_each_class(sets.test_labels, of_each_class)
    augmented = sets.augmented_test()
    assert augmented.matrices is not None
    labels = sets.test_labels[chosen]
    known = {"image": chosen, "label": labels, "class": [config.images.classes[label] for label in labels]}
    identity = pd.DataFrame({"rotation_degrees": 0.0, "shift_x_pixels": 0.0, "shift_y_pixels": 0.0, "scale": 1.0}, [0])
    parts = []
    for name, dataset, warp in (
        ("base", sets.base_test(), identity.loc[np.zeros(len(chosen), dtype=int)]),
        ("augmented", augmented, warps_of(augmented.matrices[torch.from_numpy(chosen)], config.images.size)),
    ):
        pixels = config.standardisation.pixels(dataset.batch(torch.from_numpy(chosen))).numpy()
        columns = known | {"test_set": name} | {column: warp[column].to_numpy() for column in warp}
        parts.append(grids.image_frame(pixels, columns))
    return pd.concat(parts, ignore_index=True)


def first_of_each_class(labels: NDArray[np.int64], count: int = 1) -> NDArray[np.int64]:
    """Numbers of the first `count` images of each class, the classes in order: (classes * count,)."""
    return np.concatenate([np.flatnonzero(labels == label)[:count] for label in np.unique(labels)])


def warps_of(matrices: Tensor, size: int) -> pd.DataFrame:
    """Rotation, shifts and scale of warps from their (N, 2, 3) sampling matrices of images `size` pixels wide."""
    found = vars(warps.parameters(matrices.double(), size))
    return pd.DataFrame({name: values.numpy().round(6) + 0.0 for name, values in found.items()})


def draw(ax: Axes, frame: pd.DataFrame) -> Axes:
    """Base images above their augmented selves, a column per class."""
    classes = list(dict.fromkeys(frame["class"]))
    most = frame[frame["test_set"] == "base"]["class"].value_counts().min()
    place = frame.groupby(["test_set", "class"]).cumcount()
    kept = frame.assign(place=place)[place < most]
    kept = kept.sort_values(["place", "test_set", "label"], ascending=[True, False, True], kind="stable")
    return grids.draw_grid(
        ax,
        grids.pixels_of(kept),
        len(classes),
        column_labels=classes,
        row_labels=["base", "augmented"] * most,
        rows_apart=2,
    )


def drawn(sources: Sources) -> list[DrawnFigure]:
    """The figure of a study's test sets, with the warps of its best cell's config."""
    trials = representatives.best_cell(sources.study)
    _, config = representatives.first_readable(trials, lambda trial: trial.config)
    frame = numbers(sources.images(config), config)
    rows = 2 * IMAGES_OF_A_CLASS
    figure = style.new_figure(grids.grid_height(rows, frame["label"].nunique()) + 0.15)
    draw(figure.add_subplot(), frame)
    caption = (
        "Images of the base test set and, below each, the same image in the augmented test set: rotated by up to "
        f"±{config.rotation_degrees:g}°, shifted by up to ±{config.shift_pixels:g} pixels along x and y and scaled by "
        f"up to ±{percent(config.scale_range, 0)}, each with probability {config.warp_probability:g}. "
        + ("The same for all trials. " if has_one_test_set(sources.study) else "Those of the best cell: they vary. ")
        + described(sources.study.trials)
    )
    title = "Base and augmented test images"
    return [DrawnFigure("samples", title, caption, figure, frame, _alt(title, frame))]


def _alt(title: str, frame: pd.DataFrame) -> str:
    """How many images are seen, and how far those shown are warped."""
    warped = frame[frame["test_set"] == "augmented"]
    angle, shift = (warped[name].abs().max() for name in ("rotation_degrees", "shift_x_pixels"))
    return (
        f"{title}: {len(warped)} images of {', '.join(dict.fromkeys(warped['class']))}, each above its augmented "
        f"version: rotated by up to {angle:.0f}°, shifted sideways by up to {shift:.1f} pixels, scaled by factors "
        f"of {warped['scale'].min():.2f} to {warped['scale'].max():.2f}."
    )
