"""The columns of a trial's metrics. Each measure is explained, with formula and source, where `tivae` computes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tivae.registry import MEASURES

TEST_SETS = ("base", "augmented")
CLASSES = 10


TIMESTAMP = "datetime64[us, UTC]"


@dataclass(frozen=True)
class Column:
    """One column. `dtype` is the pandas dtype, one of `string`, `Int64`, `float64`, `boolean` and `TIMESTAMP`."""

    name: str
    dtype: str
    unit: str
    meaning: str


def losses(part: str) -> tuple[Column, ...]:
    """The columns of the losses on one set of images."""
    return (
        number(f"{part}_loss", f"weighted loss on the {part} images"),
        number(f"{part}_reconstruction", f"mean squared error on the {part} images", PIXELS),
        number(f"{part}_kl", f"KL divergence on the {part} images", "nats per image"),
    )


def number(name: str, meaning: str, unit: str = "") -> Column:
    """A column of floats."""
    return Column(name, "float64", unit, meaning)


PIXELS = "squared standard deviations per pixel"


def _accuracies() -> Iterator[Column]:
    for test in TEST_SETS:
        yield number(f"{test}_accuracy", f"{test} test images that the probe classifies correctly", "share")


def _probe() -> Iterator[Column]:
    for fit in TEST_SETS:
        for test in TEST_SETS:
            meaning = f"{test} accuracy of the probe fitted on {fit} training images"
            yield number(f"{test}_accuracy_fit_{fit}", meaning, "share")
    yield Column("probe_iterations", "Int64", "iterations", "of the probe's solver, the largest of the fits")
    yield Column("probe_converged", "boolean", "", "whether every fit of the probe converged")
    for test in TEST_SETS:
        yield number(f"{test}_balanced_accuracy", f"mean over classes of their accuracy, {test} test images", "share")
        for label in range(CLASSES):
            yield number(f"{test}_accuracy_class_{label}", f"accuracy of class {label}, {test} test images", "share")
        yield number(f"{test}_log_loss", f"of the probe's probabilities, {test} test images", "nats per image")
        yield number(f"{test}_calibration_error", f"expected calibration error, {test} test images", "share")


def _validation() -> Iterator[Column]:
    for test in TEST_SETS:
        yield number(f"validation_{test}_accuracy", f"of the probe on the {test} validation images", "share")
        yield number(f"validation_{test}_loss", f"weighted loss on the {test} validation images")


def _training() -> Iterator[Column]:
    yield number("train_consistency", "distance between the encodings of two views, mean of the last epoch")
    yield number("train_alignment", "joint STN: squared error augmented -> base, mean of the last epoch", PIXELS)
    for test in TEST_SETS:
        meaning = f"mean squared error in the frame before the STN, {test} test images"
        yield number(f"{test}_original_frame_reconstruction", meaning, PIXELS)
        meaning = f"mean squared error decoded from one-hot codes, {test} test images"
        yield number(f"{test}_reconstruction_hard", meaning, PIXELS)
        yield number(f"{test}_hard_soft_gap", f"that minus {test}_reconstruction", PIXELS)


def _collapse_diagnostics() -> Iterator[Column]:
    yield number("stn_mean_log_determinant", "log of input area per output area; 0 for the identity")
    yield number("stn_frame_kept", "of the input's pixels, inside the STN's output", "share")
    yield number("stn_target_variance_ratio", "variance of the STN's output over its input's; 0 is a collapse")
    yield number("stn_alignment_loss", "squared error of the STN's output against the base images", PIXELS)
    for statistic in ("mean", "max", "min"):
        yield number(f"kl_per_latent_{statistic}", f"{statistic} over latents of the mean KL", "nats")
    yield Column("dead_latents", "Int64", "latents", "with less than 0.01 nats")
    yield Column("dead_codes", "Int64", "codes", "classes of categorical variables that no image uses")
    yield number("code_variance_share", "variance of a code without a posterior over its squared length; 0: collapse")
    yield number("code_effective_rank", "directions along which it varies; 1: collapse", "directions")


def _invariance() -> Iterator[Column]:
    for name in MEASURES:
        for metric in MEASURES[name].metrics:
            yield number(metric.name, metric.meaning, metric.unit)


METRICS = (
    *_accuracies(),
    # train_*: means over the last epoch, base_* and augmented_*: of the test images after it.
    *(column for part in (*TEST_SETS, "train") for column in losses(part)),
    *_probe(),
    *_validation(),
    *_training(),
    *_collapse_diagnostics(),
    *_invariance(),
)
