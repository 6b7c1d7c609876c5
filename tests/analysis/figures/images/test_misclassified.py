"""Images that are classified wrongly."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.figures.drawing import image_grids as grids
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.figures.images import misclassified
from tivae.config import TrialConfig

CLASSES = TrialConfig().images.classes


@pytest.fixture
def predictions(images):
    labels = images.test_labels.astype(np.int64)
    wrong = labels.copy()
    wrong[[3, 17, 40, 41]] = (labels[[3, 17, 40, 41]] + 1) % 10
    return pd.DataFrame({"image": range(len(labels)), "label": labels, "base": wrong, "augmented": labels})


def test_wrong_images_are_shown_and_no_others(images, predictions):
    frame = misclassified.numbers(images, TrialConfig(), predictions, "base")

    assert frame["image"].tolist() == [3, 17, 40, 41]
    assert np.array_equal(grids.pixels_of(frame), images.test_images[[3, 17, 40, 41]])
    assert frame["true"].tolist() == [CLASSES[number % 10] for number in (3, 17, 40, 41)]
    assert frame["predicted"].tolist() == [CLASSES[(number + 1) % 10] for number in (3, 17, 40, 41)]


def test_a_sample_is_the_same_each_time(images, predictions):
    first, again = (misclassified.numbers(images, TrialConfig(), predictions, "base", count=2) for _ in range(2))

    assert len(first) == 2
    assert first.equals(again)


def test_none_wrong_is_reported(images, predictions):
    with pytest.raises(NotSupported, match="augmented test set is classified correctly"):
        misclassified.numbers(images, TrialConfig(), predictions, "augmented")


@pytest.mark.parametrize(("probability", "marks"), [(1.0, 0), (0.0, 4)])
def test_images_that_the_augmentation_leaves_are_marked(images, predictions, probability, marks):
    swapped = predictions.assign(augmented=predictions["base"])
    config = TrialConfig(warp_probability=probability)
    frame = misclassified.numbers(images, config, swapped, "augmented")
    ax = misclassified.draw(Figure().subplots(), frame)

    assert (~frame["is_warped"]).sum() == marks
    assert sum("*" in text.get_text() for text in ax.texts) == marks


def test_both_classes_stand_below_each_image(images, predictions):
    ax = misclassified.draw(
        Figure().subplots(), misclassified.numbers(images, TrialConfig(), predictions, "base", count=40)
    )

    assert [text.get_text() for text in ax.texts[:2]] == [CLASSES[3], f"→ {CLASSES[4]}"]


def test_predictions_of_more_images_than_there_are_are_reported(study, images):
    fewer = type(images)(
        images.train_images, images.train_labels, images.test_images[:50], images.test_labels[:50], "fewer"
    )

    with pytest.raises(NotSupported, match="predicts 100 images"):
        misclassified.drawn(Sources(study, fewer))
