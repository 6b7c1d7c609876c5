"""Figure 3 of the paper: inputs and outputs of the spatial transformer, under random and known warps."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from analysis.figures.drawing import image_grids as grids
from analysis.figures.drawing import known_warps, representatives, style
from analysis.figures.drawing.captions import described
from analysis.figures.drawing.known_warps import KNOWN_WARPS
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.figures.images.samples import first_of_each_class
from analysis.frames.labels import percent
from analysis.frames.trial import Trial
from analysis.inference import seed_interval
from tivae.config import TrialConfig
from tivae.data.datasets import Dataset, TrialData
from tivae.data.image_set import Images
from tivae.models.stn import SpatialTransformer

ROWS = ("base", "input", "output")
ERROR_IMAGES = 1000


def numbers(data: Images, config: TrialConfig, stn: SpatialTransformer) -> pd.DataFrame:
    """A row per image shown: number, label, `row` (base: the target; input: augmented; output: of the STN), pixels.

    One test image per class.
    """
    sets = TrialData(data, config, "cpu")
    chosen = first_of_each_class(sets.test_labels)
    index = torch.from_numpy(chosen)
    inputs = sets.augmented_test().batch(index)
    labels = sets.test_labels[chosen]
    known = {"image": chosen, "label": labels, "class": [config.images.classes[label] for label in labels]}
    shown = {"base": sets.base_test().batch(index), "input": inputs, "output": _transformed(stn, inputs)}
    pixels = {row: config.standardisation.pixels(shown[row]).numpy() for row in ROWS}
    parts = [grids.image_frame(pixels[row], known | {"row": row}) for row in ROWS]
    return pd.concat(parts, ignore_index=True)


def known_warp_numbers(data: Images, config: TrialConfig, stn: SpatialTransformer, image: int = 0) -> pd.DataFrame:
    """Test image `image` under each known warp: a row per warp, amount and `row` (input, output), with pixels."""
    original = torch.tensor(data.test_images[image : image + 1])
    parts = []
    for warp in KNOWN_WARPS:
        for row in ("input", "output"):
            before = torch.cat(
                [known_warps.warped(original, warp.name, amount, config).batch(slice(None)) for amount in warp.amounts]
            )
            shown = before if row == "input" else _transformed(stn, before)
            columns = {"image": image, "warp": warp.name, "amount": warp.amounts, "row": row}
            parts.append(grids.image_frame(config.standardisation.pixels(shown).numpy(), columns))
    return pd.concat(parts, ignore_index=True)


def error_numbers(
    data: Images, config: TrialConfig, stn: SpatialTransformer, count: int = ERROR_IMAGES
) -> pd.DataFrame:
    """Distance to the base image before and after the STN: a row per warp, amount and `row` (input, output).

    `error`: mean over the first `count` test images of the mean squared error per pixel, in squared standard
    deviations; `low` and `high`: its 95 % interval over these images (Student's t); `images`: their number.
    """
    originals = torch.tensor(data.test_images[:count])
    base = config.standardisation.standardised(originals)
    rows = []
    for warp in KNOWN_WARPS:
        for amount in warp.amounts:
            before = known_warps.warped(originals, warp.name, amount, config).batch(slice(None))
            for row, shown in (("input", before), ("output", _transformed(stn, before))):
                errors = (shown - base).square().mean(dim=(1, 2, 3)).double().numpy()
                interval = seed_interval(errors)
                rows.append([warp.name, float(amount), row, errors.mean(), interval.low, interval.high, len(errors)])
    return pd.DataFrame(rows, columns=["warp", "amount", "row", "error", "low", "high", "images"])


def draw(ax: Axes, frame: pd.DataFrame, is_target: bool = True) -> Axes:
    """Base image, STN input and STN output below one another, a column per class.

    is_target: whether the STN was trained to restore the base image.
    """
    classes = list(dict.fromkeys(frame["class"]))
    labels = ["base image\n(target)" if is_target else "base image", "STN input\n(augmented)", "STN output"]
    return grids.draw_grid(ax, grids.pixels_of(frame), len(classes), column_labels=classes, row_labels=labels)


def draw_known_warps(ax: Axes, frame: pd.DataFrame, warp: known_warps.KnownWarp) -> Axes:
    """STN inputs above the outputs for one warp, a column per amount."""
    part = frame[frame["warp"] == warp.name]
    labels = [warp.shown(amount) for amount in warp.amounts]
    grids.draw_grid(
        ax, grids.pixels_of(part), len(labels), column_labels=labels, row_labels=["STN input", "STN output"]
    )
    ax.set_title(warp.axis_label.split(" (")[0], loc="left")
    return ax


def draw_error(ax: Axes, frame: pd.DataFrame, warp: known_warps.KnownWarp, config: TrialConfig | None = None) -> Axes:
    """Error before and after the STN against the amount, intervals as bars; the augmentation's range shaded."""
    for number, (row, label) in enumerate((("input", "STN input"), ("output", "STN output"))):
        part = frame[(frame["warp"] == warp.name) & (frame["row"] == row)]
        mark = style.numbered_mark(number)
        bars = style.whiskers(part["error"], part["low"], part["high"])
        ax.errorbar(part["amount"], part["error"], yerr=bars, label=label, capsize=2, elinewidth=0.8, **mark.lines())
    if config is not None:
        ax.axvspan(*warp.trained_range(config), color="#EEEEEE", zorder=0, label="range of the augmentation")
    ax.set_xlabel(warp.axis_label)
    return ax


def drawn(sources: Sources) -> list[DrawnFigure]:
    """Inputs and outputs on the test set; one image at known warps; the error before and after at known warps."""
    trial, (config, stn) = representatives.first_readable(_with_stn(sources), _loaded)
    data = sources.images(config)
    row = sources.study.trials[sources.study.trials["key"] == trial.key]
    origin = f"STN of trial {trial.key} (seed {config.seed}). {described(row)}"
    frames = (numbers(data, config, stn), known_warp_numbers(data, config, stn), error_numbers(data, config, stn))
    images_figure = style.new_figure(grids.grid_height(len(ROWS), frames[0]["label"].nunique()))
    # Others see no base image in training.
    is_target = bool(config.stn == "pretrained" or config.alignment_weight)
    restored = " that the spatial transformer was trained to restore" if is_target else ""
    draw(images_figure.add_subplot(), frames[0], is_target)
    return [
        DrawnFigure(
            "stn_images",
            "Inputs and outputs of the spatial transformer",
            f"One image of each class: the base image{restored}, its augmented version that goes in, and what comes "
            f"out. {origin}",
            images_figure,
            frames[0],
            _alt(frames[0]),
        ),
        DrawnFigure(
            "stn_known_warps",
            "The spatial transformer before and after, at known warps",
            f"One test image, warped by a known amount, before and after the spatial transformer. Trained with "
            f"rotations up to ±{config.rotation_degrees:g}°, shifts up to ±{config.shift_pixels:g} pixels and scales "
            f"up to ±{percent(config.scale_range, 0)}. {origin}",
            _known_warps_figure(frames[1]),
            frames[1],
            _alt_of_known_warps(frames[1]),
        ),
        DrawnFigure(
            "stn_error",
            "Distance to the base image before and after the spatial transformer",
            f"Mean squared error per pixel between the base image and its warped version before and after the "
            f"spatial transformer, by the amount of the warp: mean over {frames[2]['images'].iloc[0]:,} test images "
            f"with its 95 % interval over these images. Below the input's error the transformer repairs more than it "
            f"blurs. {origin}",
            _error_figure(frames[2], config),
            frames[2],
            _alt_of_error(frames[2]),
        ),
    ]


def _alt(frame: pd.DataFrame) -> str:
    """How far the images are from the base images before and after."""
    base, before, after = (frame[frame["row"] == row] for row in ROWS)
    ends = [percent(grids.difference(base, shown)) for shown in (before, after)]
    return (
        f"{len(base)} base images, below them their augmented versions, below these the transformer's output: a "
        f"pixel differs from the base image's by {ends[0]} of white in the mean before it and {ends[1]} behind it."
    )


def _alt_of_known_warps(frame: pd.DataFrame) -> str:
    """How far the image at the strongest warps is from the one that is not warped, before and after."""
    parts = []
    for warp in KNOWN_WARPS:
        own = frame[frame["warp"] == warp.name]
        untouched = own[(own["amount"] == warp.identity) & (own["row"] == "input")]
        for amount in (warp.amounts[0], warp.amounts[-1]):
            shown = [own[(own["amount"] == amount) & (own["row"] == row)] for row in ("input", "output")]
            ends = " to ".join(percent(grids.difference(untouched, part)) for part in shown)
            parts.append(f"{warp.shown(amount)} from {ends}")
    return (
        "A pixel's mean difference from the unwarped image, in % of white, before and behind the spatial transformer: "
        f"{'; '.join(parts)}."
    )


def _alt_of_error(frame: pd.DataFrame) -> str:
    """The errors at the strongest warps, before and after."""
    parts = []
    for warp in KNOWN_WARPS:
        for amount in (warp.amounts[0], warp.amounts[-1]):
            own = frame[(frame["warp"] == warp.name) & (frame["amount"] == amount)].set_index("row")["error"]
            parts.append(f"{warp.shown(amount)} from {own['input']:.2f} to {own['output']:.2f}")
    return f"Squared error per pixel, before and behind the spatial transformer: {'; '.join(parts)}."


def _with_stn(sources: Sources) -> Iterable[Trial]:
    trials = representatives.finished(sources.study)
    with_stn = trials[trials["stn"] != "none"]
    if with_stn.empty:
        raise NotSupported("no finished trial has a spatial transformer")
    return map(sources.study.trial, with_stn["key"])


def _loaded(trial: Trial) -> tuple[TrialConfig, SpatialTransformer]:
    model = trial.model()
    if model.stn is None:
        raise ValueError(f"trial {trial.key} has no stn.pt in {trial.folder}")
    return trial.config, model.stn


@torch.no_grad()
def _transformed(stn: SpatialTransformer, images: Tensor) -> Tensor:
    return Dataset(images).transformed(stn).images


def _known_warps_figure(frame: pd.DataFrame) -> Figure:
    figure = style.new_figure(len(KNOWN_WARPS) * grids.grid_height(2, len(KNOWN_WARPS[0].amounts)))
    for ax, warp in zip(figure.subplots(len(KNOWN_WARPS)), KNOWN_WARPS, strict=True):
        draw_known_warps(ax, frame, warp)
    return figure


def _error_figure(frame: pd.DataFrame, config: TrialConfig) -> Figure:
    figure = style.new_figure(2.4)
    axes = figure.subplots(1, len(KNOWN_WARPS), sharey=True)
    for ax, warp in zip(axes, KNOWN_WARPS, strict=True):
        draw_error(ax, frame, warp, config)
    # Only now: a limit that is set stops the shared axis from following the other panels.
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("Squared error per pixel\n(squared standard deviations)")
    style.legend_above(figure, axes[:1])
    return figure
