"""Reconstructions, samples from the prior, and latent traversals."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.drawing import image_grids as grids
from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import described
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.figures.images.samples import first_of_each_class
from analysis.frames.labels import cell_label, file_name, model_name, percent
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.study import Study
from analysis.frames.trial import Trial
from tivae import TrainedModel
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images
from tivae.models import Trainable

SAMPLES, SAMPLES_IN_A_ROW = 20, 10
TRAVERSED_LATENTS = 10
# Standard deviations of the prior, which holds 99.7 % of its samples between the ends.
TRAVERSAL = tuple(np.linspace(-3, 3, 11))


def numbers(data: Images, models: Mapping[str, TrainedModel]) -> pd.DataFrame:
    """A row per image shown: image, class, test_set, row ("input" or a name of `models`), pixels.

    One image of each class from both test sets, as it goes in and as each model reconstructs it; a model with a
    spatial transformer reconstructs what that makes of the image. The test sets are those of the first model.
    """
    config = next(iter(models.values())).config
    sets = TrialData(data, config, "cpu")
    chosen = first_of_each_class(sets.test_labels)
    classes = [config.images.classes[label] for label in sets.test_labels[chosen]]
    parts = []
    for test_set in TEST_SETS:
        dataset = sets.base_test() if test_set == "base" else sets.augmented_test()
        pixels = config.standardisation.pixels(dataset.batch(torch.from_numpy(chosen))).numpy()
        rows = {"input": pixels} | {name: model.reconstruct(pixels) for name, model in models.items()}
        for row, shown in rows.items():
            columns = {"image": chosen, "class": classes, "test_set": test_set, "row": row}
            parts.append(grids.image_frame(shown, columns))
    return pd.concat(parts, ignore_index=True)


def sample_numbers(models: Mapping[str, TrainedModel], count: int = SAMPLES, seed: int = 0) -> pd.DataFrame:
    """A row per sample from each model's prior: model (a name of `models`), sample, pixels."""
    parts = [
        grids.image_frame(model.sample(count, seed), {"model": name, "sample": range(count)})
        for name, model in models.items()
    ]
    return pd.concat(parts, ignore_index=True)


def traversal_numbers(
    model: TrainedModel, image: np.ndarray, activity: np.ndarray, most: int = TRAVERSED_LATENTS
) -> pd.DataFrame:
    """One latent moved at a time, all others as in `image`: a row per latent and value, with pixels.

    image: uint8 (size, size). activity: (latents,), the `most` with the highest are moved, in that order. Columns:
    latent (its number), activity, value, is_own, pixels. Gaussian latents take values from -3 to 3 standard
    deviations of the prior, and is_own marks the value nearest to the image's own; a categorical variable takes
    each of its classes, and is_own marks the image's.
    """
    config = model.config
    chosen = np.argsort(-activity, kind="stable")[:most]
    values = np.arange(config.categories) if config.categories else np.array(TRAVERSAL)
    parts = []
    with torch.no_grad():
        seen = config.standardisation.standardised(torch.tensor(image[None]))
        seen = seen if model.stn is None else model.stn(seen)
        assert isinstance(model.model, Trainable)
        own = model.model.modes(model.model.encode(seen))
        for latent in chosen:
            moved = own.repeat(len(values), 1)
            if config.categories:
                block = slice(int(latent) * config.categories, (int(latent) + 1) * config.categories)
                moved[:, block] = torch.eye(config.categories)
                nearest = int(own[0, block].argmax())
            else:
                moved[:, latent] = torch.tensor(values, dtype=moved.dtype)
                nearest = int(np.abs(values - float(own[0, latent])).argmin())
            columns = {
                "latent": int(latent),
                "activity": float(activity[latent]),
                "value": values,
                "is_own": np.arange(len(values)) == nearest,
            }
            parts.append(grids.image_frame(config.standardisation.pixels(model.model.decode(moved)).numpy(), columns))
    return pd.concat(parts, ignore_index=True)


def latent_activity(encodings: np.ndarray, categories: int | None) -> np.ndarray:
    """How much each latent tells images apart: the variance of its encodings (N, D), summed over its classes."""
    variance = encodings.astype(np.float64).var(axis=0)
    return np.asarray(variance if not categories else variance.reshape(-1, categories).sum(axis=1))


def draw(ax: Axes, frame: pd.DataFrame) -> Axes:
    """Inputs and the models' reconstructions below one another, first of the base, then of the augmented test set."""
    rows = list(dict.fromkeys(zip(frame["test_set"], frame["row"], strict=True)))
    classes = list(dict.fromkeys(frame["class"]))
    labels = [test_set if row == "input" else row for test_set, row in rows]
    return grids.draw_grid(
        ax,
        grids.pixels_of(frame),
        len(classes),
        column_labels=classes,
        row_labels=labels,
        rows_apart=len(rows) // len(TEST_SETS),
    )


def draw_samples(ax: Axes, frame: pd.DataFrame) -> Axes:
    """Samples of the prior, some rows for each model."""
    names = list(dict.fromkeys(frame["model"]))
    rows = len(frame) // len(names) // SAMPLES_IN_A_ROW
    labels = [name if row == 0 else "" for name in names for row in range(rows)]
    return grids.draw_grid(ax, grids.pixels_of(frame), SAMPLES_IN_A_ROW, row_labels=labels, rows_apart=rows)


def draw_traversal(ax: Axes, frame: pd.DataFrame) -> Axes:
    """A row per latent and a column per value; the image's own value is marked by a dot below."""
    values = list(dict.fromkeys(frame["value"]))
    is_categorical = pd.api.types.is_integer_dtype(frame["value"])
    latents = list(dict.fromkeys(frame["latent"]))
    images = grids.pixels_of(frame)
    grids.draw_grid(
        ax,
        images,
        len(values),
        column_labels=[f"{value:g}" if is_categorical else f"{value:.1f}".replace("-", "−") for value in values],
        row_labels=[f"{'variable' if is_categorical else 'latent'} {latent}" for latent in latents],
    )
    size, step = images.shape[1], grids.step(images.shape[1])
    for number in np.flatnonzero(frame["is_own"]):
        row, column = divmod(int(number), len(values))
        top, left = row * step, column * step
        corners = [left - 1, left + size, left + size, left - 1, left - 1]
        heights = [top - 1, top - 1, top + size, top + size, top - 1]
        ax.plot(corners, heights, color=style.VERMILLION, clip_on=False)
    ax.xaxis.set_label_position("top")
    ax.set_xlabel("class of the variable" if is_categorical else "value (standard deviations of the prior)")
    return ax


def drawn(sources: Sources) -> list[DrawnFigure]:
    """Reconstructions of all models, samples and a traversal of those with a prior; the first seed of the best cell."""
    chosen = _chosen(sources.study)
    # One row of inputs: in a study of several data sets that of the first model.
    config = next(iter(chosen.values()))[0].config
    chosen = {name: pair for name, pair in chosen.items() if pair[0].config.dataset == config.dataset}
    data = sources.images(config)
    models = {name: model for name, (_, model) in chosen.items()}
    keys = [trial.key for trial, _ in chosen.values()]
    rows = sources.study.trials[sources.study.trials["key"].isin(keys)]
    described_cells = "; ".join(f"{cell_label(trial.row)}, seed {trial.row['seed']}" for trial, _ in chosen.values())
    origin = f"{described_cells}. {described(rows)}"
    reconstructed = numbers(data, models)
    with_prior = {name: model for name, model in models.items() if model.model.has_posterior}
    height = grids.grid_height(len(TEST_SETS) * (len(models) + 1), reconstructed["class"].nunique())
    figures = [
        DrawnFigure(
            "reconstructions",
            "Reconstructions",
            f"One image of each class from the base and the augmented test set, and what each model makes of it; a "
            f"model with a spatial transformer reconstructs that one's output. {_brightest(models)}{origin}",
            _one_axes(height, draw, reconstructed),
            reconstructed,
            _alt(reconstructed),
        )
    ]
    if not with_prior:
        return figures
    sampled = sample_numbers(with_prior)
    height = grids.grid_height(len(with_prior) * SAMPLES // SAMPLES_IN_A_ROW, SAMPLES_IN_A_ROW)
    figures.append(
        DrawnFigure(
            "prior_samples",
            "Samples from the prior",
            f"Images decoded from samples of each model's prior. {_brightest(models)}{origin}",
            _one_axes(height, draw_samples, sampled),
            sampled,
            _alt_of_samples(sampled),
        )
    )
    for trial, model in chosen.values():
        if model.model.has_posterior:
            # Its encodings may be gone, which all else does without.
            with contextlib.suppress(NotSupported):
                figures.append(_traversal(data, trial, model, rows))
    return figures


def _chosen(study: Study) -> dict[str, tuple[Trial, TrainedModel]]:
    """A trained model of each class by its name; where the study varies the decoder's output, one of each output."""
    outputs = list(study.finished["output_activation"].dropna().unique())
    chosen = {}
    for output in outputs if len(outputs) > 1 else [None]:
        part = study if output is None else study.where(output_activation=output)
        for name, found in representatives.readable_by_model(part, _decoding).items():
            chosen[", ".join([model_name(name), *([f"{output} output"] if output else [])])] = found
    return chosen


def _decoding(trial: Trial) -> TrainedModel:
    model: TrainedModel = trial.model()
    if isinstance(model.model, Trainable) and model.model.decoder is None:
        raise NotSupported(f"{cell_label(trial.row)} has no decoder")
    return model


def _brightest(models: Mapping[str, TrainedModel]) -> str:
    """A sentence on the brightest pixel that tanh allows; "" where no decoder ends in it."""
    limited = [model.config for model in models.values() if model.config.output_activation == "tanh"]
    if not limited:
        return ""
    standardisation = limited[0].standardisation
    share = float(standardisation.pixels(torch.ones(1, 1, 1, 1)))
    white = float(standardisation.standardised(torch.full((1, 1, 1), 255, dtype=torch.uint8)))
    return (
        f"A decoder that ends in tanh gives no pixel above 1 of the {white:.2f} standard deviations of white, "
        f"{percent(share, 0)} of white: what is bright comes out grey however well they are reconstructed. "
    )


def _traversal(data: Images, trial: Trial, model: TrainedModel, rows: pd.DataFrame) -> DrawnFigure:
    _, encodings = representatives.first_readable([trial], lambda one: one.encodings("base"))
    image = 0
    categories = model.config.categories
    frame = traversal_numbers(model, data.test_images[image], latent_activity(encodings, categories))
    latents, all_latents = frame["latent"].nunique(), model.config.latent_dim
    columns = frame["value"].nunique()
    name = model_name(model.config.model)
    moved = "variable set to each of its classes" if categories else "latent moved"
    which = f"The {latents} of {all_latents} that vary most between test images. " if latents < all_latents else ""
    caption = (
        f"Test image {image} decoded with one {moved} and all others kept; rows in the order of their variance between "
        f"test images. {which}A frame marks the image's own value, or the nearest to it. {cell_label(trial.row)}, seed "
        f"{trial.row['seed']}. {described(rows[rows['key'] == trial.key])}"
    )
    figure = _one_axes(grids.grid_height(latents, columns) + 0.2, draw_traversal, frame)
    title = f"Latent traversal: {name}"
    alt = _alt_of_traversal(title, frame)
    return DrawnFigure(f"traversal_{file_name(model.config.model)}", title, caption, figure, frame, alt)


def _alt(frame: pd.DataFrame) -> str:
    """The rows from above, and how far each model's are from what it was given."""
    parts = []
    for test_set, part in frame.groupby("test_set", sort=False):
        given = part[part["row"] == "input"]
        differences = [
            f"{row} {percent(grids.difference(given, shown))}"
            for row, shown in part[part["row"] != "input"].groupby("row", sort=False)
        ]
        parts.append(f"{len(given)} {test_set} images, then their reconstructions: {', '.join(differences)}")
    return f"Rows from above, with the mean difference of a pixel from its image in % of white. {'; '.join(parts)}."


def _alt_of_samples(frame: pd.DataFrame) -> str:
    """How bright the samples are, and how far from one another."""
    parts = []
    for model, part in frame.groupby("model", sort=False):
        images = grids.pixels_of(part) / 255
        apart = float(np.abs(images - images.mean(axis=0)).mean())
        parts.append(f"{len(part)} of the {model}, {percent(float(images.mean()))} and {percent(apart)}")
    return (
        "Samples from the prior, with their mean brightness and a pixel's mean distance from that of all samples, in "
        f"% of white: {'; '.join(parts)}."
    )


def _alt_of_traversal(title: str, frame: pd.DataFrame) -> str:
    """Which rows change most and least from left to right."""
    changes = {
        f"row {latent}": float(np.ptp(grids.pixels_of(part).astype(float), axis=0).mean()) / 255
        for latent, part in frame.groupby("latent", sort=False)
    }
    ends = sorted(changes, key=changes.__getitem__)
    least, most = (f"{percent(changes[name])} of white ({name})" for name in (ends[0], ends[-1]))
    return (
        f"{title}: {len(changes)} rows of {frame['value'].nunique()} images; along a row a pixel changes by "
        f"{least} to {most} in the mean."
    )


def _one_axes(height: float, draw_on: Callable[[Axes, pd.DataFrame], Axes], frame: pd.DataFrame) -> Figure:
    figure = style.new_figure(height)
    draw_on(figure.add_subplot(), frame)
    return figure
