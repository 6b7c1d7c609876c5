"""Encodings in two dimensions."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.figures import latent_space
from analysis.figures.drawing import style
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources


def made_up(count=60, dimensions=5, seed=0):
    source = np.random.default_rng(seed)
    base = source.normal(size=(count, dimensions)) * [5, 2, *[0.1] * (dimensions - 2)]
    augmented = base + source.normal(size=base.shape) * 0.05
    labels = np.arange(count) % 10
    return {"base": base.astype(np.float32), "augmented": augmented.astype(np.float32)}, labels, "abcdefghij"


@pytest.fixture(scope="module")
def space():
    return latent_space.numbers(*made_up(), shown=40)


def test_components_are_those_of_both_sets_together(space):
    encodings, _, _ = made_up()
    both = np.concatenate([encodings["base"], encodings["augmented"]]).astype(float)
    centred = both - both.mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    image = space.points["image"].iloc[0]

    assert space.variance == pytest.approx(tuple(sizes[:2] ** 2 / (sizes**2).sum()))
    # The sign of a component is arbitrary.
    expected = np.abs((encodings["base"][image] - both.mean(axis=0)) @ directions[:2].T)
    assert np.allclose(np.abs(space.points[["pca_x", "pca_y"]].iloc[0]), expected)


def test_the_same_images_of_both_sets_are_placed(space):
    images = space.points.groupby("test_set")["image"].apply(list)

    assert images["base"] == images["augmented"] == sorted(set(images["base"]))
    assert len(images["base"]) == 40
    assert (space.points["label"] == space.points["image"] % 10).all()


def test_the_same_encodings_give_the_same_map(space):
    again = latent_space.numbers(*made_up(), shown=40)

    assert again.points.equals(space.points)
    assert not latent_space.numbers(*made_up(), shown=40, seed=1).points["tsne_x"].equals(space.points["tsne_x"])


def test_tsne_keeps_an_image_beside_its_augmented_self(space):
    """They are a hundred times closer to one another than to other images."""
    base, augmented = (
        space.points[space.points["test_set"] == name][["tsne_x", "tsne_y"]].to_numpy()
        for name in ("base", "augmented")
    )
    distances = np.linalg.norm(base[:, None] - augmented[None], axis=2)

    assert (distances.argmin(axis=1) == np.arange(40)).mean() > 0.8


@pytest.mark.parametrize(
    ("encodings", "message"),
    [
        (np.zeros((3, 4), np.float32), "3 encodings of 4 numbers"),
        (np.zeros((9, 1), np.float32), "9 encodings of 1 numbers"),
        (np.full((9, 4), np.nan, np.float32), "not finite"),
        (np.ones((9, 4), np.float32), "all encodings are equal"),
    ],
)
def test_encodings_without_a_map_are_reported(encodings, message):
    with pytest.raises(NotSupported, match=message):
        latent_space.numbers({"base": encodings, "augmented": encodings}, np.zeros(len(encodings), dtype=int), "ab")


def test_every_image_is_drawn_with_the_mark_of_its_class(space):
    ax = latent_space.draw(Figure().subplots(), space, "augmented", "pca")

    assert sum(len(group.get_offsets()) for group in ax.collections) == 40
    assert len(ax.collections) == 10
    assert [text.get_text() for text in ax.texts] == [str(label) for label in range(10)]
    assert "%" in ax.get_xlabel()


def test_panels_of_one_method_share_their_limits(space):
    with style.applied():
        figure = latent_space.draw_all(style.new_figure(4), space)

    limits = [ax.get_xlim() for ax in figure.axes]
    assert limits[0] == limits[1] != limits[2] == limits[3]


def test_each_model_has_a_figure(study, monkeypatch):
    monkeypatch.setattr(latent_space, "SHOWN_IMAGES", 20)

    assert [figure.name for figure in latent_space.drawn(Sources(study))] == [
        *("latent_space_vae", "latent_space_categorical_vae")
    ]


def test_labels_that_would_overlap_are_moved_apart():
    places = np.array([[0.5, 0.5], [0.51, 0.5], [0.5, 0.5], [0.9, 0.9]])
    moved = latent_space._apart(places, gap=0.04)
    distances = [np.hypot(*(moved[i] - moved[j])) for i in range(4) for j in range(i)]

    assert min(distances) >= 0.04 * (1 - 1e-5)
    assert moved[3].tolist() == [0.9, 0.9]
    assert np.abs(moved - places).max() < 0.08
