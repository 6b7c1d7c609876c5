"""The end of every caption: seeds, images and epochs behind a figure, and its limitations."""

from __future__ import annotations

import pandas as pd

from analysis.frames.image_sets import images_of
from analysis.frames.study import Study

# What intervals of one seed are over.
ONE_SEED = "test images"
# What decides which images the augmented test set holds.
TEST_SET_FIELDS = (
    *("dataset", "dataset_facts", "test_images"),
    *("rotation_degrees", "shift_pixels", "scale_range", "warp_probability"),
    *("interpolation", "fill", "whole_pixel_shifts", "resampling"),
)
QUICK = "Quick run: it shows that everything works, its numbers are not meaningful."


def described(trials: pd.DataFrame) -> str:
    """One to three sentences on the trials of a figure, such as "3 seeds; 60,000 training images, ..., 20 epochs."

    They name a `--quick` run, known by its folder's name, and count trials that have not finished by status.
    """
    finished = trials[trials["status"] == "finished"]
    shown = finished if len(finished) else trials
    epochs = _range(shown["epochs"])
    parts = [
        counted(shown["seed"].nunique(), "seed"),
        f"{_range(images_of(shown, 'train_images'))} training images",
        f"{_range(images_of(shown, 'test_images'))} test images",
        f"{epochs} epoch" if epochs == "1" else f"{epochs} epochs",
    ]
    sentences = [f"{parts[0]}; {', '.join(parts[1:])}."]
    others = trials.loc[trials["status"] != "finished", "status"].value_counts()
    if len(others):
        counts = ", ".join(f"{count} {status}" for status, count in others.items())
        sentences.append(f"{len(finished)} of {len(trials)} trials have finished ({counts}).")
    if is_quick(trials):
        sentences.append(QUICK)
    return " ".join(sentences)


def intervals(over: pd.Series) -> str:
    """A sentence on points and their intervals, from the column `over` of the points shown."""
    found = set(over) - {ONE_SEED}
    if not found:
        return (
            f"One seed per cell: the 95 % intervals are over {ONE_SEED} and do not hold what another seed would give."
        )
    rest = f", over {ONE_SEED} where a cell has one seed" if ONE_SEED in set(over) else ""
    return f"Points are means over seeds, bars their 95 % intervals over {' or '.join(sorted(found))}{rest}."


def has_one_test_set(study: Study) -> bool:
    """Whether all its trials have the same augmented test images."""
    configs = study.seedless.values()
    return len({tuple(getattr(config, name) for name in TEST_SET_FIELDS) for config in configs}) < 2


def is_quick(trials: pd.DataFrame) -> bool:
    """Whether any of the trials comes from a `--quick` run, as the name of its folder says."""
    return bool(trials["study"].astype("string").str.endswith("-quick").any())


def counted(count: int, noun: str) -> str:
    """Such as "1 seed" or "3 seeds"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _range(values: pd.Series) -> str:
    """The one value, or "smallest to largest"."""
    known = values.dropna()
    if known.empty:
        return "an unknown number of"
    low, high = int(known.min()), int(known.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
