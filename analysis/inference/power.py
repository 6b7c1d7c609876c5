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
# Equally likely variances over which a power is averaged.
_VARIANCES = 200


@dataclass(frozen=True)
class SeedPlan:
    """Seeds that show a paired difference with a power of 80 % at level 0.05, and their hours on one slot.

    `seeds_cautious` takes the upper 80 % limit of the pilot's standard deviation, which few seeds estimate badly
    (Browne 1995).
    """

    seeds: int
    seeds_cautious: int
    hours: float


def plan_seeds(pilot_differences: ArrayLike, difference: float, seconds_per_seed: float = math.nan) -> SeedPlan:
    """Plans seeds for `difference` by the spread of the pilot's paired differences, in the same unit.

    seconds_per_seed: of all trials that one more seed costs.

    Raises `ValueError` for a pilot of one seed, or a difference of zero.
    """
    pilot = finite_array(pilot_differences)
    if len(pilot) < 2:
        raise ValueError("the pilot has 1 seed; it needs at least 2 to know how much seeds differ")
    sd = float(np.std(pilot, ddof=1))
    chi_squared = float(stats.chi2.ppf(0.2, len(pilot) - 1))
    seeds = seeds_for_paired_t(sd, difference)
    cautious = seeds_for_paired_t(sd * math.sqrt((len(pilot) - 1) / chi_squared), difference)
    return SeedPlan(seeds, cautious, seeds * seconds_per_seed / 3600)


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
    its unit. The mean over the variances that so many seeds may show, which the test takes for sd^2. With one seed
    nothing is decided.
    """
    if seeds < 2:
        return 0.0
    seed_variance = sd**2 / seeds
    variance = seed_variance + image_variance
    if variance == 0:
        return 1.0
    shown = seed_variance * stats.chi2.ppf((np.arange(_VARIANCES) + 0.5) / _VARIANCES, seeds - 1) / (seeds - 1)
    totals = shown + image_variance
    lengths = [quantile(part, seeds, alpha) for part in shown / totals]
    critical = np.asarray(lengths) * np.sqrt(totals) - abs(distance)
    return float(stats.norm.sf(critical / math.sqrt(variance)).mean())


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
