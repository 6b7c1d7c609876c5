"""Power: how many seeds a difference needs, and what they cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.inference.crossed import quantile
from analysis.inference.intervals import finite_array

MOST_SEEDS = 100_000


@dataclass(frozen=True)
class SeedPlan:
    """Seeds that show a paired difference with the given power, and their cost.

    difference and sd have one unit; sd is that of the paired difference in the pilot. `cautious` plans with the
    upper 80 % limit of sd, since a pilot of few seeds knows it badly (Browne 1995). seconds_per_seed: of all trials
    that one more seed costs.
    """

    difference: float
    sd: float
    power: float
    alpha: float
    seeds: int
    seeds_cautious: int
    seconds_per_seed: float
    hours: float
    hours_cautious: float


def plan_seeds(
    pilot_differences: ArrayLike,
    difference: float,
    seconds_per_seed: float = math.nan,
    slots: int = 1,
    power: float = 0.8,
    alpha: float = 0.05,
) -> SeedPlan:
    """Seeds, and hours on `slots` trials at once, to show `difference` at level `alpha` with probability `power`.

    pilot_differences: first - second of at least 2 seeds.

    Raises `ValueError` for a pilot of one seed, or a difference of zero.
    """
    pilot = finite_array(pilot_differences)
    if len(pilot) < 2:
        raise ValueError("the pilot has 1 seed; it needs at least 2 to know how much seeds differ")
    sd = float(np.std(pilot, ddof=1))
    chi_squared = float(stats.chi2.ppf(0.2, len(pilot) - 1))
    needed = [
        seeds_for_paired_t(spread, difference, power, alpha)
        for spread in (sd, sd * math.sqrt((len(pilot) - 1) / chi_squared))
    ]
    hours = [seeds * seconds_per_seed / slots / 3600 for seeds in needed]
    return SeedPlan(
        difference=difference,
        sd=sd,
        power=power,
        alpha=alpha,
        seeds=needed[0],
        seeds_cautious=needed[1],
        seconds_per_seed=seconds_per_seed,
        hours=hours[0],
        hours_cautious=hours[1],
    )


def seeds_for_paired_t(sd: float, difference: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Fewest seeds with which a two-sided paired t test finds `difference` with at least `power`.

    sd: of the paired difference, in the same unit. At least 2; at most 100,000, where it stops counting.
    Raises `ValueError` if a value makes no sense.
    """
    if not (sd >= 0 and difference != 0 and math.isfinite(difference) and 0 < power < 1 and 0 < alpha < 1):
        raise ValueError(
            f"sd {sd}, difference {difference}, power {power}, alpha {alpha}; sd must be at least 0, the difference "
            "not 0, power and alpha between 0 and 1"
        )
    effect = math.inf if sd == 0 else abs(difference) / sd
    # Beyond an effect of 1,000 standard deviations two seeds do, and the noncentral t overflows.
    if effect > 1_000:
        return 2
    low, high = 1, 2
    while high < MOST_SEEDS and not _has_power(effect, high, power, alpha):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _has_power(effect, middle, power, alpha) else (middle, high)
    return min(high, MOST_SEEDS)


def power_of(seeds: int, sd: float, distance: float, image_variance: float = 0.0, alpha: float = 0.05) -> float:
    """The probability that an effect `distance` from a claim's bound is decided with so many seeds.

    sd: between seeds, of the effect; image_variance: of the effect's mean, over test images (`crossed`'s C), both in
    its unit. A noncentral t with Satterthwaite's degrees of freedom. With one seed nothing is decided.
    """
    if seeds < 2:
        return 0.0
    seed_variance = sd**2 / seeds
    variance = seed_variance + image_variance
    if variance == 0:
        return 1.0
    share = seed_variance / variance
    freedom = min(1e6, (seeds - 1) / share**2) if share else 1e6
    return _upper_tail(quantile(share, seeds, alpha), freedom, abs(distance) / math.sqrt(variance))


def _has_power(effect: float, seeds: int, power: float, alpha: float) -> bool:
    """Whether a paired t test rejects on the effect's side; what it rejects on the other side finds nothing."""
    critical = float(stats.t.isf(alpha / 2, seeds - 1))
    return _upper_tail(critical, seeds - 1, effect * math.sqrt(seeds)) >= power


def _upper_tail(critical: float, freedom: float, noncentrality: float) -> float:
    """P(T > critical) of a noncentral t; NaN, where it is 1 to all digits, is 1.

    scipy's lower tail is not added: it is NaN for many noncentralities at which this one is far from 1.
    """
    reached = float(stats.nct.sf(critical, freedom, noncentrality))
    return 1.0 if math.isnan(reached) else reached
