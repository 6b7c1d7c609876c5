"""Paired comparisons by seed and by test image, families of tests, and equivalence."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.inference import compare_images, compare_seeds, contrast, equivalence, holm, pair_by_seed
from tests.analysis.inference.test_intervals import DARWIN

DRAWS = 300
# Three standard deviations above 5 % of the draws.
MOST_FALSE = 0.05 + 3 * math.sqrt(0.05 * 0.95 / DRAWS)


def test_darwins_plants_as_fisher_has_them() -> None:
    # Fisher counts 863 of the 32,768 arrangements of signs in one tail (The Design of Experiments, section 21), and
    # t = 2.148 with 14 degrees of freedom (section 17).
    comparison = compare_seeds(DARWIN)
    assert comparison.p_value == pytest.approx(2 * 863 / 32_768, rel=1e-12)
    assert comparison.t_test_p_value == pytest.approx(0.0497, abs=5e-5)
    assert comparison.effect_size == pytest.approx(2.148 / math.sqrt(15), abs=5e-4)
    assert comparison.smallest_p_value == 2 / 32_768


def test_a_planted_difference_is_found_under_a_large_seed_effect() -> None:
    random = np.random.default_rng(0)
    seeds = random.normal(0, 0.05, 8)  # what a seed brings is 10 times the difference, and cancels
    second = 0.74 + seeds + random.normal(0, 0.001, 8)
    first = 0.745 + seeds + random.normal(0, 0.001, 8)
    comparison = compare_seeds(first, second, confidence=0.9999)
    assert comparison.p_value == comparison.smallest_p_value == 2 / 2**8
    assert comparison.interval.low < 0.005 < comparison.interval.high
    assert comparison.difference == pytest.approx(comparison.first - comparison.second, abs=1e-12)
    swapped = compare_seeds(second, first, confidence=0.9999)
    assert (swapped.difference, swapped.p_value) == (-comparison.difference, comparison.p_value)


# With 20 seeds each draw has 9,999 permutations of its own.
@pytest.mark.parametrize(("seeds", "draws"), [(6, 300), (20, 60)])
def test_no_difference_is_found_no_more_often_than_the_level(seeds: int, draws: int) -> None:
    random = np.random.default_rng(seeds)
    comparisons = [compare_seeds(random.normal(0, 1, seeds), method="t") for _ in range(draws)]
    most = 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)
    assert sum(comparison.p_value <= 0.05 for comparison in comparisons) / draws <= most
    assert sum(comparison.t_test_p_value <= 0.05 for comparison in comparisons) / draws <= most


@pytest.mark.parametrize(
    ("differences", "p_value", "t_p_value"),
    [
        ([0.01], 1.0, math.nan),
        ([0.01, 0.02], 0.5, None),
        ([0.0, 0.0, 0.0], 1.0, 1.0),
        ([0.01, 0.01, 0.01], 0.25, 0.0),
        ([0.3 - 0.2, 0.1, 0.4 - 0.3], 0.25, 0.0),
    ],
)
def test_degenerate_seeds(differences: list[float], p_value: float, t_p_value: float | None) -> None:
    comparison = compare_seeds(differences)
    assert comparison.p_value == pytest.approx(p_value)
    if t_p_value is not None:
        assert comparison.t_test_p_value == pytest.approx(t_p_value, nan_ok=True)
        assert math.isnan(comparison.effect_size)
    assert comparison.n == len(differences)


def test_a_fixed_value_stands_for_every_seed() -> None:
    assert compare_seeds([0.70, 0.72, 0.71], 0.75).difference == pytest.approx(-0.04)


def test_unpaired_figures_are_refused() -> None:
    with pytest.raises(ValueError, match="3 figures against 2; there must be one of each for every seed"):
        compare_seeds([1, 2, 3], [1, 2])


def test_seeds_are_paired_by_number_and_not_by_place() -> None:
    first = pd.DataFrame({"seed": [2, 0, 1, 5], "base_accuracy": [0.2, 0.0, 0.1, np.nan]})
    second = pd.DataFrame({"seed": [0, 1, 2, 3, 5], "base_accuracy": [0.5, 0.6, 0.7, 0.8, 0.9]})
    pairs = pair_by_seed(first, second, "base_accuracy")
    assert pairs.to_numpy().tolist() == [[0, 0.0, 0.5], [1, 0.1, 0.6], [2, 0.2, 0.7]]
    with pytest.raises(ValueError, match="the second trials hold a seed twice"):
        pair_by_seed(first, pd.concat([second, second]), "base_accuracy")


def classes(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two models' classes with these counts."""
    counts = (both, only_first, only_second, neither)
    first = np.repeat([7, 7, 1, 2], counts)
    second = np.repeat([7, 3, 7, 5], counts)
    return np.full(sum(counts), 7), first, second


def test_mcnemar_on_agrestis_approval_ratings() -> None:
    # Agresti, Categorical Data Analysis, 10.1: z squared 17.36, difference 0.04 with interval (0.02, 0.06).
    comparison = compare_images(*classes(794, 150, 86, 570))
    assert (comparison.both, comparison.only_first, comparison.only_second, comparison.neither) == (794, 150, 86, 570)
    assert comparison.difference == pytest.approx(0.04)
    assert (comparison.interval.low, comparison.interval.high) == pytest.approx((0.0213, 0.0587), abs=5e-4)
    assert comparison.p_value == pytest.approx(stats.binomtest(86, 236).pvalue, rel=1e-9)
    assert comparison.p_value == pytest.approx(stats.chi2.sf(17.36, 1), rel=0.25)
    assert comparison.odds_ratio == pytest.approx(150 / 86)


@pytest.mark.parametrize(
    ("counts", "p_value", "odds_ratio"),
    [((90, 0, 0, 10), 1.0, math.nan), ((90, 5, 0, 5), 2 / 2**5, math.inf), ((0, 0, 1, 0), 1.0, 0.0)],
)
def test_models_that_hardly_disagree(counts: tuple[int, int, int, int], p_value: float, odds_ratio: float) -> None:
    comparison = compare_images(*classes(*counts))
    assert comparison.p_value == pytest.approx(p_value)
    assert comparison.odds_ratio == pytest.approx(odds_ratio, nan_ok=True)
    assert comparison.interval.low < comparison.difference < comparison.interval.high or sum(counts) == 1
    assert -1 <= comparison.interval.low <= comparison.interval.high <= 1


def test_equally_accurate_models_are_told_apart_no_more_often_than_the_level() -> None:
    random = np.random.default_rng(1)
    found = covered = 0
    for _ in range(DRAWS):
        right = random.random((2, 500)) < 0.75
        comparison = compare_images(np.ones(500), right[0], right[1])
        found += comparison.p_value <= 0.05
        covered += comparison.interval.low <= 0 <= comparison.interval.high
    assert found / DRAWS <= MOST_FALSE
    assert covered / DRAWS >= 1 - MOST_FALSE


@pytest.mark.parametrize("shapes", [((3,), (3,), (2,)), ((0,), (0,), (0,)), ((2, 2), (2, 2), (2, 2))])
def test_predictions_that_do_not_match_are_refused(shapes) -> None:
    with pytest.raises(ValueError, match="one each for every image"):
        compare_images(*(np.zeros(shape) for shape in shapes))


def test_a_contrast_of_two_models_agrees_with_mcnemar() -> None:
    labels, first, second = classes(794, 150, 86, 570)
    result = contrast((first == labels).astype(float) - (second == labels))
    comparison = compare_images(labels, first, second)
    assert result.mean == pytest.approx(comparison.difference)
    assert (result.interval.low, result.interval.high) == pytest.approx(
        (comparison.interval.low, comparison.interval.high), abs=5e-4
    )
    assert result.p_value == pytest.approx(comparison.p_value, rel=0.25)


@pytest.mark.parametrize(("scores", "p_value"), [([0.0] * 9, 1.0), ([1.0] * 9, 0.0), ([1.0], 1.0)])
def test_contrasts_without_spread(scores: list[float], p_value: float) -> None:
    result = contrast(scores)
    assert (result.mean, result.p_value) == (scores[0], p_value)
    assert math.isnan(result.interval.low) if len(scores) == 1 else result.interval.low == scores[0]


def test_holms_correction() -> None:
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    with_gaps = holm([0.01, math.nan, 0.04, 0.03, 0.005, math.nan])
    assert with_gaps == pytest.approx([0.03, math.nan, 0.06, 0.06, 0.02, math.nan], nan_ok=True)
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    assert np.isnan(holm([math.nan])).all()


def test_holm_holds_the_chance_of_any_false_finding() -> None:
    p_values = np.random.default_rng(2).random((DRAWS, 8))
    assert np.mean([(holm(row) <= 0.05).any() for row in p_values]) <= MOST_FALSE
    assert (p_values <= 0.05).any(axis=1).mean() > 0.25  # what it protects from


def test_equivalence_is_two_one_sided_tests() -> None:
    differences = np.array([0.2, -0.1, 0.4, 0.1, -0.3, 0.2])
    result = equivalence(differences, margin=0.5)
    above = stats.ttest_1samp(differences, -0.5, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, 0.5, alternative="less").pvalue
    assert result.p_value == pytest.approx(max(above, below), rel=1e-9)
    around = equivalence(differences + 10, margin=0.5, around=10)
    assert (around.p_value, around.equivalent) == (pytest.approx(result.p_value), True)
    assert around.difference == pytest.approx(10 + result.difference)


def test_equivalence_is_the_interval_inside_the_margin() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        result = equivalence(random.normal(0.3, 1, 12), margin=random.uniform(0.1, 2))
        assert result.equivalent == (-result.margin < result.low and result.high < result.margin)


def test_a_difference_at_the_margin_is_called_equivalent_no_more_often_than_the_level() -> None:
    random = np.random.default_rng(4)
    found = [equivalence(random.normal(1.0, 1.0, 10), margin=1.0).equivalent for _ in range(DRAWS)]
    assert np.mean(found) <= MOST_FALSE


@pytest.mark.parametrize(
    ("differences", "p_value", "equivalent"),
    [([0.1], math.nan, False), ([0.1] * 3, 0.0, True), ([0.5] * 3, 1.0, False), ([0.0, 0.0], 0.0, True)],
)
def test_equivalence_of_degenerate_seeds(differences: list[float], p_value: float, equivalent: bool) -> None:
    result = equivalence(differences, margin=0.5)
    assert result.p_value == pytest.approx(p_value, nan_ok=True)
    assert result.equivalent is equivalent


@pytest.mark.parametrize("margin", [0, -1, math.nan])
def test_a_margin_must_be_above_zero(margin: float) -> None:
    with pytest.raises(ValueError, match="it must be above zero"):
        equivalence([1, 2], margin)
