"""`judge` itself on drawn studies: without effects it decides no more often than its level, planted ones it finds."""

import math

import numpy as np
import pytest

from analysis.inference import power_of
from analysis.inference.claims import read_claims
from analysis.inference.verdicts import judge
from tests.analysis.synthetic_scores import drawn, grid_study, with_failures

CLAIMS = {claim.name: claim for claim in read_claims()[0]}
OF_THE_GRID = list(CLAIMS.values())[:8]
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
STN, COST = CLAIMS["stn_has_no_pronounced_effect"], CLAIMS["gap_is_about_ten_points"]
DECIDED = ("supported", "refuted")


def decided(draws: int, seed: int, claims=DIRECTED, change=lambda study: study, **values) -> float:
    """The share of studies in which any of the claims is decided."""
    source, found = np.random.default_rng(seed), 0
    study = change(grid_study(values.pop("seeds")))
    for _ in range(draws):
        results = judge(study, claims, scores=drawn(source, study, images=100, **values))
        found += any(result.verdict in DECIDED for result in results)
    return found / draws


def most(draws: int) -> float:
    return 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize("seeds", [3, 5])
def test_no_effect_is_decided_no_more_often_than_the_level(seeds: int) -> None:
    assert decided(100, seed=seeds, seeds=seeds) <= most(100)


def test_an_stn_that_the_cells_of_a_seed_share_is_no_effect() -> None:
    """Only the STN's own margin is crossed where the mean over all STNs is at it: the seed is the unit."""
    assert decided(100, seed=1, claims=[STN], seeds=3, of_stn=0.02, stn=0.02) <= most(100)


def test_one_seed_decides_nothing() -> None:
    assert decided(5, seed=2, claims=list(CLAIMS.values()), seeds=1, model=0.2) == 0


def test_studies_with_failures_and_other_numbers_of_seeds_decide_no_more_often() -> None:
    assert decided(100, seed=3, seeds=5, change=with_failures) <= most(100)


@pytest.mark.parametrize("change", [lambda study: study, with_failures])
def test_planted_effects_are_found_on_their_side(change) -> None:
    source, study = np.random.default_rng(4), change(grid_study(10))
    for _ in range(4):
        scores = drawn(source, study, images=400, model=0.1, stn=0.1, train_dataset=-0.1)
        verdicts = {result.claim: result.verdict for result in judge(study, [*DIRECTED, STN], scores=scores)}
        assert verdicts == {
            "categorical_beats_vae_on_augmented": "supported",
            "categorical_beats_vae_on_base": "supported",
            "augmented_training_improves_base": "refuted",
            "augmented_training_worsens_augmented": "supported",
            "stn_has_no_pronounced_effect": "refuted",
        }


def promised(seeds: int, effect: float, images: int, of_trial: float) -> float:
    """The power with which the categorical VAE's lead is decided, by the variances that `drawn` has.

    Of one trial and image: the trial's, and the draw's p (1 - p) of accuracies of 0.7, spread by 0.15 over images.
    """
    of_a_draw = 0.7 * 0.3 - 0.15**2
    # Eight cells, each with the weight 1/4.
    sd = math.sqrt(8 / 16 * (of_trial**2 + of_a_draw / images))
    return power_of(seeds, sd, effect)


@pytest.mark.parametrize(("seeds", "effect", "draws"), [(3, 0.06, 300), (10, 0.02, 300)])
def test_planted_effects_are_found_with_the_power_that_is_promised(seeds, effect, draws) -> None:
    claim = CLAIMS["categorical_beats_vae_on_augmented"]
    source, study = np.random.default_rng(7), grid_study(seeds)
    found = 0
    for _ in range(draws):
        (result,) = judge(study, [claim], scores=drawn(source, study, images=200, model=effect))
        found += result.verdict == "supported"
    wanted = promised(seeds, effect, images=200, of_trial=0.01)
    assert 0.3 < wanted < 0.99
    assert found / draws >= wanted - 3 * math.sqrt(wanted * (1 - wanted) / draws)


# Studies of 24, 40 and 80 trials without effects; trials that differ more; cells of unequal numbers of seeds; and all
# eight claims of the grid, transformations costing just 8 points, where "about 10" begins.
NULLS = {
    "3 seeds": {"seeds": 3},
    "5 seeds": {"seeds": 5},
    "10 seeds": {"seeds": 10},
    "trials that differ": {"seeds": 3, "of_trial": 0.03},
    "failures": {"seeds": 5, "change": with_failures},
    "a shared STN": {"seeds": 3, "claims": [STN], "of_stn": 0.02, "stn": 0.02},
    "a shared STN, 10 seeds": {"seeds": 10, "claims": [STN], "of_stn": 0.02, "stn": 0.02},
    "a shared STN, failures": {"seeds": 5, "claims": [STN], "of_stn": 0.02, "stn": 0.02, "change": with_failures},
    "a cost at its margin": {"seeds": 3, "claims": [COST], "cost": 0.08},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NULLS)
def test_rates_of_many_studies_without_effects(name: str) -> None:
    assert decided(1000, seed=5, **NULLS[name]) <= most(1000)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 10])
def test_of_all_claims_together_those_that_are_false_are_decided_no_more_often(seeds: int) -> None:
    source, study, found, draws = np.random.default_rng(8), grid_study(seeds), 0, 1000
    false = {claim.name for claim in [*DIRECTED, COST, CLAIMS["best_cell"]]}
    for _ in range(draws):
        scores = drawn(source, study, images=100, cost=0.08)
        verdicts = {result.claim: result.verdict for result in judge(study, OF_THE_GRID, scores=scores)}
        # That the cells are alike is true here: it may be supported, and not refuted.
        true = {"stn_has_no_pronounced_effect", "gap_is_alike_in_all_cells"}
        found += any(verdicts[name] in DECIDED for name in false) or any(verdicts[name] == "refuted" for name in true)
    assert found / draws <= most(draws)
