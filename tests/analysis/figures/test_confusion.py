"""The confusion matrix against counts by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.figures import confusion
from analysis.figures.drawing.sources import Sources
from tivae.data.catalogue.fashion_mnist import FASHION_MNIST

# Class 0: right, right, taken for 1. Class 1: right. Class 2: taken for 0.
PREDICTIONS = pd.DataFrame({"image": range(5), "label": [0, 0, 0, 1, 2], "base": [0, 0, 1, 1, 0], "augmented": 0})


def cell(frame, true, predicted):
    return frame[(frame["true"] == true) & (frame["predicted"] == predicted)].iloc[0]


def test_counts_and_shares_are_of_the_true_class():
    frame = confusion.numbers([PREDICTIONS], "base", 10)

    assert len(frame) == 100
    assert (cell(frame, 0, 0)["count"], cell(frame, 0, 1)["count"], cell(frame, 2, 0)["count"]) == (2, 1, 1)
    assert cell(frame, 0, 0)["share"] == pytest.approx(2 / 3)
    assert cell(frame, 2, 0)["share"] == 1
    assert frame["count"].sum() == 5


def test_shares_of_a_class_sum_to_one_and_one_without_images_has_none():
    sums = confusion.numbers([PREDICTIONS], "base", 10).groupby("true")["share"].sum(min_count=1)

    assert sums[[0, 1, 2]].tolist() == pytest.approx([1, 1, 1])
    assert sums[3:].isna().all()


def test_several_models_are_summed():
    frame = confusion.numbers([PREDICTIONS, PREDICTIONS], "base", 10)

    assert cell(frame, 0, 0)["count"] == 4
    assert cell(frame, 0, 0)["share"] == pytest.approx(2 / 3)


def test_the_interval_is_wilsons():
    row = cell(confusion.numbers([PREDICTIONS], "base", 10), 0, 0)
    z, n, p = 1.959964, 3, 2 / 3
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))

    assert (row["low"], row["high"]) == pytest.approx((centre - half, centre + half), rel=1e-5)


def test_rows_are_true_classes_and_small_shares_are_left_out():
    rare = pd.concat([PREDICTIONS, pd.DataFrame({"image": range(200), "label": 3, "base": [4] + [3] * 199})])
    ax = confusion.draw(
        Figure().subplots(), confusion.numbers([rare.fillna(0).astype(int)], "base", 10), FASHION_MNIST.classes
    )
    texts = {text.get_position(): text.get_text() for text in ax.texts}

    # x is the predicted class, y the true one.
    assert texts == {(0, 0): "67", (1, 0): "33", (1, 1): "100", (0, 2): "100", (3, 3): "100"}
    assert ax.images[0].get_array()[0, 1] == pytest.approx(1 / 3)
    assert ax.get_xlabel() == "Predicted class"


def test_a_study_gives_one_figure_with_both_test_sets(study):
    (drawn,) = confusion.drawn(Sources(study))

    assert drawn.name == "confusion"
    assert drawn.data.groupby("test_set")["count"].sum().tolist() == [100, 100]
    assert "summed over 1 trained model" in drawn.caption
    assert drawn.alt.startswith("Confusion matrices; the most frequent mistake is on the base test set ")
    assert [ax.get_title().split(":")[0] for ax in drawn.figure.axes] == ["base test set", "augmented test set"]
