"""Figure 4 of the paper: the encodings of both test sets in two dimensions, by PCA and by t-SNE."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy.spatial import KDTree
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import described
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.image_sets import image_set_of
from analysis.frames.labels import TEST_SET_NAMES, cell_label, file_name, model_name, percent
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.trial import Trial

# Images of each test set that t-SNE places: the time grows faster than their number (1,000 take about 8 s on one core).
SHOWN_IMAGES = 1000
PERPLEXITY = 30.0
METHODS = ("pca", "tsne")
# Between the digits of two classes, as a share of the axes: their height.
LABEL_GAP = 0.035


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """Places of test images in two dimensions.

    points: a row per image and test set, with image, label, class, test_set, pca_x, pca_y, tsne_x, tsne_y.
    variance: share of the variance of all encodings along the two principal components.
    dimensions: numbers of an encoding.
    """

    points: pd.DataFrame
    variance: tuple[float, float]
    dimensions: int


def numbers(
    encodings: dict[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    shown: int = SHOWN_IMAGES,
    seed: int = 0,
) -> LatentSpace:
    """Places of the encodings (N, D) of the base and augmented test sets; labels (N,), of `classes`.

    Both sets are placed in one map, so that the panels can be compared: the principal components are those of all
    2 N encodings together, and t-SNE places the same `shown` images of both sets at once. These are drawn with
    `seed`, which also starts t-SNE: the same encodings give the same map. Encodings are not rescaled, since that
    would blow up latents that the model does not use.

    Raises `NotSupported` if encodings are not finite, all equal, of fewer than two numbers, or fewer than four.
    """
    both = np.concatenate([encodings[name] for name in TEST_SETS]).astype(np.float64)
    if len(labels) < 4 or both.shape[1] < 2:
        raise NotSupported(
            f"{len(labels)} encodings of {both.shape[1]} numbers; a map needs at least 4 encodings of at least 2"
        )
    if not np.isfinite(both).all():
        raise NotSupported("the encodings are not finite")
    if not np.ptp(both, axis=0).any():
        raise NotSupported("all encodings are equal")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(labels))[:shown])
    rows = np.concatenate([chosen, len(labels) + chosen])
    # One thread: the number of threads changes the order of sums, and t-SNE magnifies the last digits.
    with threadpool_limits(1):
        analysis = PCA(2, svd_solver="full").fit(both)
        components = analysis.transform(both[rows])
        perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
        embedding = TSNE(init="pca", perplexity=perplexity, random_state=seed, n_jobs=1).fit_transform(both[rows])
    images = np.tile(chosen, 2)
    points = pd.DataFrame(
        {
            "image": images,
            "label": labels[images],
            "class": [classes[label] for label in labels[images]],
            "test_set": np.repeat(TEST_SETS, len(chosen)),
            "pca_x": components[:, 0],
            "pca_y": components[:, 1],
            "tsne_x": embedding[:, 0],
            "tsne_y": embedding[:, 1],
        }
    )
    first, second = analysis.explained_variance_ratio_
    return LatentSpace(points, (float(first), float(second)), both.shape[1])


def draw(ax: Axes, space: LatentSpace, test_set: str, method: str) -> Axes:
    """The images of one test set, coloured and marked by class, with each class's digit at its median.

    Digits that would overlap are moved apart.
    """
    part = space.points[space.points["test_set"] == test_set]
    for label, group in part.groupby("label"):
        ax.scatter(
            group[f"{method}_x"],
            group[f"{method}_y"],
            s=10,
            **style.class_points(label),
            linewidths=0,
            alpha=0.75,
            rasterized=True,
        )
    halo = [patheffects.withStroke(linewidth=1.8, foreground="white")]
    coordinates = [f"{method}_x", f"{method}_y"]
    medians = part.groupby("label")[coordinates].median()
    size = space.points[coordinates].max() - space.points[coordinates].min()
    for label, (x, y) in zip(medians.index, _apart((medians / size).to_numpy()) * size.to_numpy(), strict=True):
        ax.text(x, y, str(label), ha="center", va="center", fontweight="bold", path_effects=halo)
    _limit(ax, space.points, method)
    if method == "pca":
        ax.set_xlabel(f"PC 1 ({percent(space.variance[0], 0)} of the variance)")
        ax.set_ylabel(f"PC 2 ({percent(space.variance[1], 0)} of the variance)")
    else:
        ax.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
    return ax


def _apart(places: np.ndarray, gap: float = LABEL_GAP) -> np.ndarray:
    """`places` (N, 2) with those closer than `gap` moved away from each other, all others as they are."""
    moved = places.astype(np.float64).copy()
    for _ in range(100):
        still = True
        for one, other in itertools.combinations(range(len(moved)), 2):
            between = moved[other] - moved[one]
            distance = float(np.hypot(*between))
            if distance < gap * (1 - 1e-6):
                direction = between / distance if distance > 0 else np.array([1.0, 0.0])
                moved[one] -= direction * (gap - distance) / 2
                moved[other] += direction * (gap - distance) / 2
                still = False
        if still:
            break
    return moved


def draw_all(figure: Figure, space: LatentSpace) -> Figure:
    """A row per method, a column per test set, and the classes below."""
    axes = figure.subplots(2, 2)
    for row, method in zip(axes, METHODS, strict=True):
        for ax, test_set in zip(row, TEST_SETS, strict=True):
            draw(ax, space, test_set, method)
            ax.set_title(f"{'PCA' if method == 'pca' else 't-SNE'}, {TEST_SET_NAMES[test_set]}")
    style.letter_panels(list(axes.flat))
    known = space.points.groupby("label")["class"].first()
    handles = [Line2D([], [], linestyle="none", **style.class_points(label)) for label in known.index]
    names = [f"{label} {name}" for label, name in known.items()]
    figure.legend(handles, names, loc="outside lower center", ncols=5)
    return figure


def drawn(sources: Sources) -> list[DrawnFigure]:
    """A figure for each model: of its best cell's first seed."""
    figures = []
    for model, (trial, space) in representatives.readable_by_model(sources.study, _read).items():
        shown = space.points["image"].nunique()
        row = sources.study.trials[sources.study.trials["key"] == trial.key]
        caption = (
            f"Encodings of {shown:,} test images without and with augmentation, {cell_label(trial.row)}, seed "
            f"{trial.row['seed']} ({space.dimensions} numbers per image). Each row is one map that holds "
            "both test sets; the principal components are those of all test encodings, and digits stand at the "
            f"median of each class. t-SNE with perplexity {PERPLEXITY:g}: distances between far groups mean nothing. "
            + described(row)
        )
        figure = draw_all(style.new_figure(7.4), space)
        name, title = f"latent_space_{file_name(model)}", f"Latent space: {model_name(model)}"
        figures.append(DrawnFigure(name, title, caption, figure, space.points, f"{title}. {_alt(space.points)}"))
    return figures


def _alt(points: pd.DataFrame) -> str:
    """How far the classes lie apart in each panel: the images whose nearest neighbour there is of their own class."""
    parts = []
    for method, test_set in itertools.product(METHODS, TEST_SETS):
        part = points[points["test_set"] == test_set]
        places = part[[f"{method}_x", f"{method}_y"]].to_numpy()
        nearest = KDTree(places).query(places, k=2)[1][:, 1]
        is_own = pd.Series(part["label"].to_numpy()[nearest] == part["label"].to_numpy())
        by_class = is_own.groupby(part["class"].to_numpy(), sort=False).mean()
        ends = [f"{name} {percent(share, 0)}" for name, share in by_class.sort_values().iloc[[-1, 0]].items()]
        panel = f"{'PCA' if method == 'pca' else 't-SNE'}, {TEST_SET_NAMES[test_set]}"
        parts.append(f"{panel}: {percent(float(is_own.mean()), 0)} (from {' down to '.join(ends)})")
    return f"Images that lie beside one of their own class, by panel. {'; '.join(parts)}."


def _read(trial: Trial) -> LatentSpace:
    labels = trial.predictions()["label"].to_numpy()
    classes = image_set_of(trial.row).classes
    return numbers({name: trial.encodings(name) for name in TEST_SETS}, labels, classes, SHOWN_IMAGES)


def _limit(ax: Axes, points: pd.DataFrame, method: str) -> None:
    """The same limits in the panels of both test sets."""
    for axis, limit in (("x", ax.set_xlim), ("y", ax.set_ylim)):
        values = points[f"{method}_{axis}"]
        margin = 0.04 * float(np.ptp(values)) or 1.0
        limit(float(values.min()) - margin, float(values.max()) + margin)
