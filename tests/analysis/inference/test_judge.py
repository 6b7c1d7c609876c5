"""`judge` itself on drawn studies: without effects it decides no more often than its level, planted ones it finds."""

import math

import numpy as np
import pytest

import analysis
from analysis.inference.claims import read_claims
from analysis.inference.verdicts import judge
from tests.analysis.synthetic_scores import drawn_study

CLAIMS = {claim.name: claim for claim in read_claims()[0]}
# Those that are true nowhere when all cells are alike: either verdict is false.
DIRECTED = [
    CLAIMS[name]
    for name in (
        "categorical_beats_vae_on_augmented",
        "categorical_beats_vae_on_base",
        "augmented_training_improves_base",
        "augmented_training_worsens_augmented",
    )
]


def decided(draws: int, seed: int, claims=DIRECTED, change=lambda study: study, **values) -> float:
    """The share of studies in which any of the claims is decided."""
    source, found = np.random.default_rng(seed), 0
    for _ in range(draws):
        study, scores = drawn_study(source, images=100, **values)
        results = judge(change(study), claims, scores=scores)
        found += any(result.verdict in ("supported", "refuted") for result in results)
    return found / draws


def most(draws: int) -> float:
    return 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize("seeds", [3, 5])
def test_no_effect_is_decided_no_more_often_than_the_level(seeds: int) -> None:
    assert decided(40, seed=seeds, seeds=seeds) <= most(40)


def test_an_stn_that_the_cells_of_a_seed_share_is_no_effect() -> None:
    """Only the STN's own margin is crossed where the mean over all STNs is at it: the seed is the unit."""
    (claim,) = [CLAIMS["stn_has_no_pronounced_effect"]]
    assert decided(40, seed=1, claims=[claim], seeds=3, of_stn=0.02, stn=0.02) <= most(40)


def test_one_seed_decides_nothing() -> None:
    assert decided(5, seed=2, claims=list(CLAIMS.values()), seeds=1, model=0.2) == 0


def failing(study: analysis.Study) -> analysis.Study:
    """Every fifth trial failed, so that cells have other numbers of seeds."""
    trials = study.trials.copy()
    trials.loc[trials.index % 5 == 2, "status"] = "failed"
    return analysis.Study(trials, study.epochs, study.folders)


def test_studies_with_failures_and_other_numbers_of_seeds_decide_no_more_often() -> None:
    assert decided(40, seed=3, seeds=5, change=failing) <= most(40)


@pytest.mark.parametrize("change", [lambda study: study, failing])
def test_planted_effects_are_found_on_their_side(change) -> None:
    source, claims = np.random.default_rng(4), [*DIRECTED, CLAIMS["stn_has_no_pronounced_effect"]]
    for _ in range(4):
        study, scores = drawn_study(source, seeds=10, images=400, model=0.1, stn=0.1, train_dataset=-0.1)
        verdicts = {result.claim: result.verdict for result in judge(change(study), claims, scores=scores)}
        assert verdicts == {
            "categorical_beats_vae_on_augmented": "supported",
            "categorical_beats_vae_on_base": "supported",
            "augmented_training_improves_base": "refuted",
            "augmented_training_worsens_augmented": "supported",
            "stn_has_no_pronounced_effect": "refuted",
        }


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [{"seeds": 3}, {"seeds": 5}, {"seeds": 10}, {"seeds": 3, "of_trial": 0.03}, {"seeds": 5, "change": failing}],
)
def test_rates_of_many_studies_without_effects(values) -> None:
    assert decided(1000, seed=5, **values) <= most(1000)
    shared = {key: value for key, value in values.items() if key != "change"}
    claim = CLAIMS["stn_has_no_pronounced_effect"]
    assert decided(1000, seed=6, claims=[claim], of_stn=0.02, stn=0.02, **shared) <= most(1000)
