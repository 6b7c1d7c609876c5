"""How many seeds a difference needs, and what they cost."""

import math
from dataclasses import replace

import numpy as np
import pytest

from analysis.inference import estimate, plan_seeds, power_of, seeds_for_paired_t


@pytest.mark.parametrize(
    ("effect", "power", "seeds"),
    [(0.2, 0.80, 199), (0.5, 0.80, 34), (0.8, 0.80, 15), (0.5, 0.95, 54)],  # G*Power 3.1, matched pairs, two tails
)
def test_seeds_of_a_paired_t_test_are_g_powers(effect: float, power: float, seeds: int) -> None:
    assert seeds_for_paired_t(1.0, effect, power) == seeds
    assert seeds_for_paired_t(0.02, -0.02 * effect, power) == seeds


@pytest.mark.parametrize(
    ("sd", "difference", "seeds"), [(0.0, 1.0, 2), (1.0, 1e6, 2), (1.0, 50.0, 2), (1.0, 1e-9, 100_000)]
)
def test_extreme_effects(sd: float, difference: float, seeds: int) -> None:
    assert seeds_for_paired_t(sd, difference) == seeds


@pytest.mark.parametrize("effect", [8.0, 9.5, 10.0, 10.166, 10.5, 11.0])  # scipy's lower tail is NaN at some
def test_two_seeds_that_miss_the_power_are_not_enough(effect: float) -> None:
    assert seeds_for_paired_t(1.0, effect) == 3


@pytest.mark.parametrize(
    "values", [{"sd": -1}, {"sd": math.nan}, {"difference": 0}, {"power": 1}, {"alpha": 0}, {"difference": math.inf}]
)
def test_values_without_sense_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="sd must be at least 0"):
        seeds_for_paired_t(**{"sd": 1, "difference": 1} | values)


def test_the_plan_costs_seeds_in_hours() -> None:
    pilot = [0.3, -0.1, 0.5, 0.1]
    plan = plan_seeds(pilot, difference=0.2, seconds_per_seed=1800)
    sd = np.std(pilot, ddof=1)
    assert plan.seeds == seeds_for_paired_t(sd, 0.2)
    assert plan.hours == pytest.approx(plan.seeds / 2)
    # Browne: sd times the root of 3 / chi squared (20 %, 3 degrees of freedom) = 1.005.
    assert plan.seeds_cautious == seeds_for_paired_t(sd * math.sqrt(3 / 1.005174), 0.2)
    assert plan.seeds_cautious > plan.seeds
    assert math.isnan(plan_seeds(pilot, difference=0.2).hours)


def test_the_plan_needs_no_more_than_its_own_test() -> None:
    """A sign-flip test would need 6; seeds that are equal need 2 for a t test."""
    assert plan_seeds([1.0, 1.0, 1.0], difference=5).seeds == 2


@pytest.mark.parametrize(("seeds", "sd", "images"), [(3, 0.3, 0.0), (5, 0.5, 0.05), (10, 0.2, 0.1)])
def test_the_power_of_a_number_of_seeds_is_what_draws_have(seeds: int, sd: float, images: float) -> None:
    random, draws, distance = np.random.default_rng(1), 500, 1.0
    found = 0
    for _ in range(draws):
        values = distance + random.normal(0, sd, seeds) + random.normal(0, math.sqrt(images))
        found += replace(estimate(values), image_variance=images).level(0.0) < 0.05
    assert power_of(seeds, sd, distance, images) == pytest.approx(found / draws, abs=3 * math.sqrt(0.25 / draws))


def test_extreme_powers() -> None:
    assert power_of(1, 0.1, 5) == 0
    assert power_of(3, 0.0, 5) == 1
    assert power_of(3, 0.1, 0.0) == pytest.approx(0.025, abs=0.005)


def test_a_pilot_of_one_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="the pilot has 1 seed; it needs at least 2"):
        plan_seeds([0.1], difference=1)
