"""Effects of balanced designs: a published experiment, planted effects, none, and what is not balanced."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from analysis.inference import balanced, factorial
from tests.analysis.synthetic_scores import Drawn

# Box, Hunter and Hunter, Statistics for Experimenters: the pilot plant, two runs of each of 2 x 2 x 2 settings.
PILOT_PLANT = [(59, 61), (74, 70), (50, 58), (69, 67), (50, 54), (81, 85), (46, 44), (79, 81)]
# Their effects; an interaction is half the difference of differences there, and the difference itself here.
PUBLISHED = {"t": 23.0, "c": -5.0, "k": 1.5, "t x c": 1.5, "t x k": 10.0, "c x k": 0.0, "t x c x k": 0.5}
FACTORS = ("train_dataset", "model", "stn")


def pilot_plant() -> pd.DataFrame:
    settings = [(t, c, k) for k in (1, 2) for c in (20, 40) for t in (160, 180)]
    rows = [(*setting, run, y) for setting, ys in zip(settings, PILOT_PLANT, strict=True) for run, y in enumerate(ys)]
    return pd.DataFrame(rows, columns=["t", "c", "k", "seed", "yield"])


def study(seeds: int, noise: float, random: np.random.Generator, shared: float = 0.0, **effects: float) -> pd.DataFrame:
    """A grid of the paper's factors with planted effects in points; `shared`: std of what a seed's STN does to all
    cells behind it.
    """
    rows = []
    levels = (("base", "augmented"), ("vae", "categorical_vae"), ("none", "pretrained"))
    seed_effects, stns = random.normal(0, 0.02, seeds), random.normal(0, shared, seeds)
    for cell in itertools.product(*levels):
        code = [names.index(value) - 0.5 for names, value in zip(levels, cell, strict=True)]
        size = {"train_dataset": code[0], "model": code[1], "stn": code[2], "interaction": code[0] * code[1]}
        mean = 0.75 + sum(effects.get(name, 0) / 100 * value for name, value in size.items())
        for seed in range(seeds):
            value = mean + seed_effects[seed] + stns[seed] * (code[2] > 0) + random.normal(0, noise)
            rows.append((*cell, seed, f"{len(rows)}", value))
    return pd.DataFrame(rows, columns=[*FACTORS, "seed", "key", "augmented_accuracy"])


def effects_of(frame: pd.DataFrame, confidence: float = 0.95, **scores) -> pd.DataFrame:
    return factorial(balanced(frame, FACTORS), confidence=confidence, **scores).effects.set_index("term")


def test_the_pilot_plant_as_published() -> None:
    effects = factorial(balanced(pilot_plant(), ["t", "c", "k"]), "yield", scale=1).effects.set_index("term")
    for term, value in PUBLISHED.items():
        assert effects.loc[term, "effect"] == pytest.approx(value * 2 ** (effects.loc[term, "order"] - 1), abs=1e-9)
    assert effects.loc["t", "contrast"] == "180 - 160"


def test_planted_effects_are_found_whatever_a_seed_brings_to_all_cells() -> None:
    frame = study(6, 0.002, np.random.default_rng(0), train_dataset=3.0, model=8.0, interaction=-2.0)
    effects = effects_of(frame, confidence=0.9999)
    for term, value in {"train_dataset": 3.0, "model": 8.0, "stn": 0.0, "train_dataset x model": -2.0}.items():
        assert effects.loc[term, "low"] < value < effects.loc[term, "high"], term
        assert effects.loc[term, "effect"] == pytest.approx(value, abs=0.5)
    assert effects.loc["train_dataset x model", "contrast"] == "augmented - base, categorical_vae - vae"
    assert effects.loc["train_dataset x model", "p_value"] < 0.001


@pytest.mark.parametrize("shared", [0.0, 0.01])
def test_no_effect_is_found_no_more_often_than_the_level_also_where_cells_share_an_stn(shared: float) -> None:
    """Trials taken as independent of each other find an STN's effect in most studies of a shared one."""
    random = np.random.default_rng(1)
    draws = 150
    found = np.array([effects_of(study(3, 0.003, random, shared))["p_value"].to_numpy() < 0.05 for _ in range(draws)])
    most = 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)
    assert found.mean(axis=0).max() <= most


def test_effects_over_seeds_and_images_are_wider_than_over_seeds() -> None:
    random, metric = np.random.default_rng(2), "augmented_accuracy"
    frame = study(3, 0.001, random)
    hard = random.normal(0, 0.2, 400)
    right = [(random.random(400) < np.clip(share + hard, 0, 1)) * 1.0 for share in frame[metric]]
    frame[metric] = [row.mean() for row in right]
    scores = Drawn({(key, metric): row for key, row in zip(frame["key"], right, strict=True)})
    both, seeds = (factorial(balanced(frame, FACTORS), scores=found) for found in (scores, None))
    assert (both.over, seeds.over, both.seeds) == ("seeds and test images", "seeds", 3)
    assert both.effects["effect"].tolist() == pytest.approx(seeds.effects["effect"].tolist())
    one = factorial(balanced(frame[frame["seed"] == 0], FACTORS), scores=scores)
    assert one.over == "test images"
    assert one.effects["p_value"].isna().all()
    assert one.effects["low"].notna().all()


def test_a_field_that_some_trials_leave_unset_has_that_as_a_level() -> None:
    cells = [(target, weight) for target in (None, "base") for weight in (None, 0.5, 2.0)]
    frame = pd.DataFrame(cells, columns=["reconstruction_target", "consistency_weight"]).astype(
        {"reconstruction_target": "string"}
    )
    frame["augmented_accuracy"] = [0.5 + 0.1 * (target == "base") + 0.05 * (weight or 0) for target, weight in cells]
    design = balanced(frame.assign(seed=0, key="k"), ["reconstruction_target", "consistency_weight"])
    effects = factorial(design).effects.set_index(["term", "contrast"])["effect"]
    assert effects["reconstruction_target", "base - unset"] == pytest.approx(10)
    assert effects["consistency_weight", "consistency_weight unset"] == pytest.approx(-12.5 / 3)


def test_a_factor_of_many_levels_has_an_effect_for_each_against_their_mean() -> None:
    random = np.random.default_rng(4)
    truth = {2: -6.0, 10: 1.0, 100: 5.0}
    rows = [
        (size, model, seed, (70 + effect + 2 * (model == "vae") + random.normal(0, 0.1)) / 100)
        for size, effect in truth.items()
        for model in ("vae", "categorical_vae")
        for seed in range(4)
    ]
    frame = pd.DataFrame(rows, columns=["latent_dim", "model", "seed", "augmented_accuracy"])
    effects = factorial(balanced(frame, ["latent_dim", "model"])).effects.set_index(["term", "contrast"])["effect"]
    for size, value in truth.items():
        assert effects["latent_dim", f"latent_dim {size}"] == pytest.approx(value, abs=0.2)
    assert effects["model", "categorical_vae - vae"] == pytest.approx(-2.0, abs=0.2)
    assert effects["latent_dim"].sum() == pytest.approx(0, abs=1e-9)
    assert effects["latent_dim x model"].sum() == pytest.approx(0, abs=1e-9)


def test_levels_that_are_not_crossed_are_left_out() -> None:
    frame = study(2, 0.003, np.random.default_rng(5))
    extra = frame[(frame["stn"] == "none") & (frame["model"] == "vae")].assign(stn="joint")
    design = balanced(pd.concat([frame, extra], ignore_index=True), FACTORS)
    assert design.left_out == {"stn": ["joint"]}
    assert (design.cells, len(design.trials)) == (8, 16)


def test_seeds_that_lack_a_cell_are_left_out() -> None:
    frame = study(3, 0.003, np.random.default_rng(6))
    assert set(balanced(frame[1:], FACTORS).trials["seed"]) == {1, 2}
    with pytest.raises(ValueError, match="no seed has finished in all cells"):
        balanced(frame[(frame["seed"] == 0) == (frame["model"] == "vae")], FACTORS)


def test_factors_of_one_value_are_none() -> None:
    frame = study(3, 0.003, np.random.default_rng(7), model=5.0)
    effects = factorial(balanced(frame[frame["stn"] == "none"], FACTORS)).effects
    assert effects["term"].tolist() == ["train_dataset", "model", "train_dataset x model"]
    with pytest.raises(ValueError, match="no factor has two values"):
        balanced(frame[:1], FACTORS)


def test_trials_that_differ_in_other_fields_are_refused() -> None:
    frame = study(2, 0.003, np.random.default_rng(8))
    with pytest.raises(ValueError, match="cells of train_dataset, model hold trials that differ in other fields"):
        balanced(frame, FACTORS[:2])


@pytest.mark.parametrize("planted", [0.0, 5.0])
def test_values_without_noise_need_no_error(planted: float) -> None:
    effects = effects_of(study(2, 0.0, np.random.default_rng(8), model=planted))
    assert effects.loc["model", "effect"] == pytest.approx(planted, abs=1e-9)
    assert effects.loc["model", "p_value"] == (0.0 if planted else 1.0)
