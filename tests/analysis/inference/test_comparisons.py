"""Paired comparisons by seed and by test image, and families of tests."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.inference import compare_cells, compare_images, estimate, holm, pair_by_seed
from analysis.inference.families import holm_divisors
from tests.analysis.inference.test_intervals import DARWIN


def test_darwins_plants_as_fisher_has_them() -> None:
    # t = 2.148 with 14 degrees of freedom (The Design of Experiments, section 17).
    assert estimate(DARWIN).level(0.0) == pytest.approx(0.0497, abs=5e-5)


def test_a_planted_difference_is_found_under_a_large_seed_effect() -> None:
    random = np.random.default_rng(0)
    seeds = random.normal(0, 0.05, 8)  # what a seed brings is 10 times the difference, and cancels
    first, second = (
        pd.DataFrame({"key": list("abcdefgh"), "seed": range(8), "base_accuracy": mean + seeds})
        for mean in (0.74 + random.normal(0, 0.001, 8), 0.745 + random.normal(0, 0.001, 8))
    )
    found = compare_cells(first, second[::-1], "base_accuracy")
    assert found is not None
    assert found.level(0.0) < 1e-4
    assert found.interval(0.9999).low < 0.005 < found.interval(0.9999).high
    assert compare_cells(first, second.assign(seed=range(8, 16)), "base_accuracy") is None


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
    # Agresti, Categorical Data Analysis, 10.1: z squared 17.36.
    comparison = compare_images(*classes(794, 150, 86, 570))
    assert (comparison.n, comparison.both, comparison.only_first, comparison.only_second) == (1600, 794, 150, 86)
    assert comparison.p_value == pytest.approx(stats.binomtest(86, 236).pvalue, rel=1e-9)
    assert comparison.p_value == pytest.approx(stats.chi2.sf(17.36, 1), rel=0.25)


@pytest.mark.parametrize(("counts", "p_value"), [((90, 0, 0, 10), 1.0), ((90, 5, 0, 5), 2 / 2**5), ((0, 0, 1, 0), 1.0)])
def test_models_that_hardly_disagree(counts: tuple[int, int, int, int], p_value: float) -> None:
    assert compare_images(*classes(*counts)).p_value == pytest.approx(p_value)


@pytest.mark.parametrize("shapes", [((3,), (3,), (2,)), ((0,), (0,), (0,)), ((2, 2), (2, 2), (2, 2))])
def test_predictions_that_do_not_match_are_refused(shapes) -> None:
    with pytest.raises(ValueError, match="one each for every image"):
        compare_images(*(np.zeros(shape) for shape in shapes))


def test_holms_correction() -> None:
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    with_gaps = holm([0.01, math.nan, 0.04, 0.03, 0.005, math.nan])
    assert with_gaps == pytest.approx([0.03, math.nan, 0.06, 0.06, 0.02, math.nan], nan_ok=True)
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    assert np.isnan(holm([math.nan])).all()


def test_the_level_is_divided_as_holms_p_is_multiplied() -> None:
    assert holm_divisors([0.01, math.nan, 0.04, 0.03, 0.005]).tolist() == [3, 1, 1, 2, 4]
