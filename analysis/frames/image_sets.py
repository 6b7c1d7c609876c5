"""The data set of each trial: its size, classes and counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd

from tivae.data import catalogue
from tivae.data.image_set import ImageSet


def image_set_of(row: Mapping[str, Any] | pd.Series) -> ImageSet:
    """The data set of a row of `trials`; the default one where the row names none.

    Raises `DataError` (a `ValueError`) if this version knows none of that name.
    """
    dataset, facts = (row.get(name) for name in ("dataset", "dataset_facts"))
    return catalogue.named(catalogue.DEFAULT if pd.isna(dataset) else str(dataset), None if pd.isna(facts) else facts)


def of_each(trials: pd.DataFrame, what: Literal["train_images", "test_images", "pixels"]) -> pd.Series:
    """A number of each row's data set: all its training or test images, or the pixels of an image."""
    names = [name for name in ("dataset", "dataset_facts") if name in trials]
    if not names:
        return pd.Series(getattr(image_set_of({}), what), index=trials.index)
    known: dict[tuple[Any, ...], int] = {}
    values = []
    for row in trials[names].itertuples(index=False, name=None):
        if row not in known:
            known[row] = getattr(image_set_of(dict(zip(names, row, strict=True))), what)
        values.append(known[row])
    return pd.Series(values, index=trials.index, dtype="int64")


def images_of(trials: pd.DataFrame, field: Literal["train_images", "test_images"]) -> pd.Series:
    """How many images each row's trial used: the field, or all of its data set."""
    return trials[field].fillna(of_each(trials, field)) if field in trials else of_each(trials, field)


def pixels_in_words(trials: pd.DataFrame) -> str:
    """The pixels of an image, such as "784"; "pixels" where the trials' data sets have images of several sizes."""
    found = set(of_each(trials, "pixels"))
    return str(found.pop()) if len(found) == 1 else "pixels"
