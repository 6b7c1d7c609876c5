"""Figure 5b of the paper: images that the linear classifier gets wrong, with their true and predicted class."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes

from analysis.figures.drawing import image_grids as grids
from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import described
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.figures.images.samples import warps_of
from analysis.frames.labels import TEST_SET_NAMES, cell_label
from analysis.frames.metric_columns import TEST_SETS
from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images

COLUMNS, ROWS = 8, 4
# Mistakes that the alternative text names.
MOST_TOLD = 3


def numbers(
    data: Images,
    config: TrialConfig,
    predictions: pd.DataFrame,
    test_set: str,
    count: int = COLUMNS * ROWS,
    seed: int = 0,
) -> pd.DataFrame:
    """`count` images drawn with `seed` from those that are classified wrongly, in order of their number.

    Columns: image, test_set, true, predicted (names), is_warped (whether the test set changes the image), pixels.
    Fewer images where fewer are wrong.

    Raises `NotSupported` if none is wrong.
    """
    wrong = predictions[predictions[test_set] != predictions["label"]]
    if wrong.empty:
        raise NotSupported(f"every image of the {test_set} test set is classified correctly")
    chosen = wrong.sample(min(count, len(wrong)), random_state=np.random.default_rng(seed)).sort_values("image")
    index = torch.tensor(chosen["image"].to_numpy())
    sets = TrialData(data, config, "cpu")
    dataset = sets.base_test() if test_set == "base" else sets.augmented_test()
    classes = config.images.classes
    columns = {
        "image": chosen["image"].to_numpy(),
        "test_set": test_set,
        "true": [classes[label] for label in chosen["label"]],
        "predicted": [classes[label] for label in chosen[test_set]],
        "is_warped": False,
    }
    if dataset.matrices is not None:
        warp = warps_of(dataset.matrices[index], config.images.size)
        columns["is_warped"] = (warp != [0.0, 0.0, 0.0, 1.0]).any(axis=1).to_numpy()
    return grids.image_frame(config.standardisation.pixels(dataset.batch(index)).numpy(), columns)


def draw(ax: Axes, frame: pd.DataFrame, columns: int = COLUMNS) -> Axes:
    """The images with "true" and "predicted" below each; an asterisk marks those that the test set does not warp."""
    unwarped = np.where((frame["test_set"] == "augmented") & ~frame["is_warped"], " *", "")
    captions = [
        f"{true}{mark}\n→ {predicted}"
        for true, predicted, mark in zip(frame["true"], frame["predicted"], unwarped, strict=True)
    ]
    return grids.draw_grid(ax, grids.pixels_of(frame), columns, captions=captions, caption_lines=2)


def drawn(sources: Sources) -> list[DrawnFigure]:
    """A figure for each test set, of the best cell's first seed."""
    trials = representatives.best_cell(sources.study)
    trial, (config, predictions) = representatives.first_readable(trials, lambda t: (t.config, t.predictions()))
    data = sources.images(config)
    if len(predictions) > len(data.test_images):
        raise NotSupported(f"trial {trial.key} predicts {len(predictions)} images, more than the test set has here")
    row = sources.study.trials[sources.study.trials["key"] == trial.key]
    figures = []
    for test_set in TEST_SETS:
        wrong = int((predictions[test_set] != predictions["label"]).sum())
        if not wrong:
            continue
        frame = numbers(data, config, predictions, test_set)
        figure = style.new_figure(1.18 * -(-len(frame) // COLUMNS) + 0.1)
        draw(figure.add_subplot(), frame)
        marked = " An asterisk marks images that this test set leaves as they are." if test_set == "augmented" else ""
        caption = (
            f"{len(frame)} of the {wrong:,} images of the {TEST_SET_NAMES[test_set]} that the probe classifies "
            f"wrongly, drawn at random: true class, then the predicted one after the arrow.{marked} "
            f"{cell_label(trial.row)}, seed {trial.row['seed']}. {described(row)}"
        )
        title = f"Misclassified images of the {TEST_SET_NAMES[test_set]}"
        figures.append(DrawnFigure(f"misclassified_{test_set}", title, caption, figure, frame, _alt(title, frame)))
    if not figures:
        raise NotSupported("every image of both test sets is classified correctly")
    return figures


def _alt(title: str, frame: pd.DataFrame) -> str:
    """The mistakes that are seen most often."""
    counts = frame[["true", "predicted"]].value_counts().head(MOST_TOLD)
    mistakes = [f"{true} taken for {predicted} ({count})" for (true, predicted), count in counts.items()]
    return f"{title}: {len(frame)} images, most often {', '.join(mistakes)}."
