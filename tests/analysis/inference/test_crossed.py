"""Intervals for another seed and other images: their coverage, and known cases."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.inference import estimate
from analysis.inference.crossed import quantile

# Shares of the variance that seeds bring, from none to all.
SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("share", SHARES)
def test_nominal_95_percent_cover_94_to_96_whatever_the_share_of_seeds(seeds: int, share: float) -> None:
    """With A of S - 1 degrees of freedom and C known, as thousands of images make it."""
    random, draws = np.random.default_rng(seeds), 20_000
    seed_variance = share * random.chisquare(seeds - 1, draws) / (seeds - 1)
    variance = seed_variance + 1 - share
    shares = seed_variance / variance
    # The quantile changes smoothly: it is taken at 200 shares and interpolated.
    grid = np.linspace(0, 1, 200)
    quantiles = np.interp(shares, grid, [quantile(value, seeds, 0.05) for value in grid])
    covered = np.mean(np.abs(random.normal(size=draws)) <= quantiles * np.sqrt(variance))
    error = 3 * math.sqrt(0.05 * 0.95 / draws)
    assert 0.94 - error < covered < 0.96 + error


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_drawn_accuracies_are_covered_and_seeds_alone_or_images_alone_do_not(seeds: int) -> None:
    """Images differ in how hard they are and seeds in how good; the truth is what all of both would give."""
    random, draws, images = np.random.default_rng(seeds), 400, 300
    truth, covered, over_seeds, over_images = 0.8, 0, 0, 0
    for _ in range(draws):
        hard, good = random.normal(0, 0.3, images), random.normal(0, 0.02, seeds)
        values = truth + hard + good[:, None] + random.normal(0, 0.25, (seeds, images))
        interval = estimate(values).interval()
        covered += interval.low <= truth <= interval.high
        alone = estimate(values.mean(axis=1)).interval()
        over_seeds += alone.low <= truth <= alone.high
        one = estimate(values[:1]).interval()
        over_images += one.low <= truth <= one.high
    error = 3 * math.sqrt(0.05 * 0.95 / draws)
    assert 0.94 - error < covered / draws < 0.965 + error
    assert min(over_seeds, over_images) / draws < 0.92


@pytest.mark.parametrize("level", [0.05, 0.005])
@pytest.mark.parametrize("seeds", [3, 10])
def test_at_small_levels_the_rate_is_little_above_the_nominal_one_at_worst(seeds: int, level: float) -> None:
    random, draws = np.random.default_rng(0), 100_000
    for share in (0.5, 0.8, 0.95):
        seed_variance = share * random.chisquare(seeds - 1, draws) / (seeds - 1)
        variance = seed_variance + 1 - share
        grid = np.linspace(0, 1, 200)
        quantiles = np.interp(seed_variance / variance, grid, [quantile(value, seeds, level) for value in grid])
        false = np.mean(np.abs(random.normal(size=draws)) > quantiles * np.sqrt(variance))
        assert false < 1.5 * level + 3 * math.sqrt(level / draws)


def test_without_images_it_is_students_t() -> None:
    values = [0.71, 0.74, 0.70, 0.76]
    result, oracle = estimate(values), stats.ttest_1samp(values, 0.7)
    interval = oracle.confidence_interval(0.95)
    assert (result.interval().low, result.interval().high) == pytest.approx((interval.low, interval.high))
    assert result.level(0.7) == pytest.approx(oracle.pvalue)
    assert result.over == "seeds"


def test_of_one_seed_it_is_the_images_normal_interval() -> None:
    right = np.arange(10_000) < 7_800
    result = estimate(right[None, :])
    width = 1.959964 * math.sqrt(0.78 * 0.22 / 9_999)
    assert result.interval().high - result.mean == pytest.approx(width, rel=1e-5)
    assert (result.over, result.seeds) == ("test images", 1)
    alone = estimate([0.78])
    assert alone.over == ""
    assert math.isnan(alone.interval().low)
    assert math.isnan(alone.level(0.5))


def test_the_variance_of_the_mean_is_estimated_without_bias() -> None:
    random, seeds, images = np.random.default_rng(0), 4, 50
    truth = 0.3**2 / seeds + 1.0**2 / images + 0.8**2 / (seeds * images)
    found = []
    for _ in range(2000):
        values = (
            random.normal(0, 0.3, (seeds, 1)) + random.normal(0, 1, images) + random.normal(0, 0.8, (seeds, images))
        )
        result = estimate(values)
        found.append(result.seed_variance + result.image_variance)
    assert np.mean(found) == pytest.approx(truth, rel=0.06)


@pytest.mark.parametrize("seeds", [1, 2, 3, 10])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 1.0])
def test_the_level_is_where_the_interval_just_touches(seeds: int, share: float) -> None:
    random = np.random.default_rng(0)
    result = estimate(random.normal(0, math.sqrt(share), (seeds, 1)) + random.normal(0, 1, (seeds, 200)))
    for level in (0.5, 0.05, 1e-3, 1e-8):
        assert result.level(result.interval(1 - level).high) == pytest.approx(level, rel=1e-6)


def test_what_does_not_vary_decides_by_itself() -> None:
    result = estimate([[0.5, 0.5], [0.5, 0.5]])
    assert (result.level(0.5), result.level(0.4)) == (1.0, 0.0)
    assert result.interval().low == result.interval().high == 0.5


@pytest.mark.parametrize("values", [[], [[]], [[[1.0]]], [0.5, math.nan], [[0.5, math.nan]]])
def test_what_is_no_table_of_numbers_is_refused(values: list) -> None:
    with pytest.raises(ValueError, match=r"they must be|missing or not finite"):
        estimate(values)
