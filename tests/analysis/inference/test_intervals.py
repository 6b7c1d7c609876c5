"""Means and intervals of cells, against published values and over many draws."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.inference import accuracy_interval, cell_summaries, seed_interval, summarise
from tests.analysis.synthetic import grid, study_of
from tivae.config import TrialConfig

# Darwin's Zea mays: cross- minus self-fertilised height, in eighths of an inch (Fisher 1935, section 17).
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [  # Newcombe (1998), Statistics in Medicine 17:857, table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 1 - 0.1611, 1.0),
    ],
)
def test_accuracy_intervals_are_the_published_ones(right: int, images: int, low: float, high: float) -> None:
    interval = accuracy_interval(right / images, images)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=6e-5)
    assert interval.over == "test images"


@pytest.mark.parametrize(("accuracy", "images"), [(1.01, 10), (-0.1, 10), (0.5, 0), (math.nan, 10)])
def test_an_impossible_accuracy_is_refused(accuracy: float, images: int) -> None:
    with pytest.raises(ValueError, match=r"it must be in \[0, 1\]"):
        accuracy_interval(accuracy, images)


def test_students_interval_of_darwins_plants() -> None:
    summary = summarise(DARWIN)
    assert summary.mean == pytest.approx(314 / 15)
    assert summary.sd == pytest.approx(37.744, abs=1e-3)
    assert (summary.interval.low, summary.interval.high) == pytest.approx((0.03, 41.84), abs=5e-3)


def test_intervals_follow_a_change_of_unit() -> None:
    values = np.random.default_rng(0).exponential(0.01, 12)
    one, other = seed_interval(values), seed_interval(5 + 100 * values)
    assert (other.low, other.high) == pytest.approx((5 + 100 * one.low, 5 + 100 * one.high), abs=0.005)


def test_few_seeds() -> None:
    one = summarise([0.75])
    assert (one.n, one.mean) == (1, 0.75)
    assert math.isnan(one.sd)
    assert math.isnan(one.interval.low)
    assert one.interval.method == "none: one seed"
    two = summarise([0.75, 0.77])
    assert two.interval.method == "Student's t"
    assert two.interval.high - two.mean == pytest.approx(12.7062 * 0.01, rel=1e-5)


@pytest.mark.parametrize("values", [[0.1] * 3, [0.1 + 0.2, 0.3, 0.3], [0.0] * 12])
def test_equal_seeds_have_an_interval_of_width_zero(values: list[float]) -> None:
    summary = summarise(values)
    assert summary.sd == 0
    assert summary.interval.low == summary.interval.high == pytest.approx(values[0])
    assert summary.interval.method == "none: all are equal"


@pytest.mark.parametrize("values", [[], [[0.5]], [0.5, math.nan], [math.inf]])
def test_what_is_no_list_of_numbers_is_refused(values: list) -> None:
    with pytest.raises(ValueError, match=r"at least one number|missing or not finite"):
        summarise(values)


def test_cell_summaries_say_what_the_interval_is_over(tmp_path: Path) -> None:
    configs = [*grid(seeds=3), TrialConfig(seed=0, latent_dim=20)]
    frame = cell_summaries(study_of(tmp_path, configs).trials, by=["train_dataset", "model", "stn", "latent_dim"])
    assert len(frame) == 18
    many, single = frame[frame["n"] == 3], frame[frame["n"] == 1]
    assert set(many["over"]) == {"seeds and test images"}
    assert single["over"].tolist() == ["test images", "test images"]
    assert (frame["low"] < frame["mean"]).all()
    assert single["sd"].isna().all()


def test_a_cell_that_mixes_settings_is_refused(tmp_path: Path) -> None:
    frame = study_of(tmp_path, [*grid(), TrialConfig(seed=1, latent_dim=20)]).trials
    with pytest.raises(ValueError, match=r"mixes trials with latent_dim 10, 20; add `latent_dim` to `by`"):
        cell_summaries(frame)
    with pytest.raises(ValueError, match="holds a seed twice"):
        cell_summaries(pd.concat([frame[:1]] * 2))


def test_losses_of_one_seed_have_no_interval(tmp_path: Path) -> None:
    frame = cell_summaries(study_of(tmp_path, grid()).trials, metrics=["base_loss"])
    assert frame["low"].isna().all()
    assert set(frame["over"]) == {"seeds"}
