"""Factorial effects: a published experiment, planted effects, none, and degenerate designs."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from analysis.inference import factorial, factorial_over_images

# Box, Hunter and Hunter, Statistics for Experimenters: the pilot plant, two runs of each of 2 x 2 x 2 settings.
PILOT_PLANT = [(59, 61), (74, 70), (50, 58), (69, 67), (50, 54), (81, 85), (46, 44), (79, 81)]
# Their effects; an interaction is half the difference of differences there, and the difference itself here.
PUBLISHED = {"t": 23.0, "c": -5.0, "k": 1.5, "t x c": 1.5, "t x k": 10.0, "c x k": 0.0, "t x c x k": 0.5}


def pilot_plant() -> pd.DataFrame:
    settings = [(t, c, k) for k in (1, 2) for c in (20, 40) for t in (160, 180)]
    rows = [(*setting, run, y) for setting, ys in zip(settings, PILOT_PLANT, strict=True) for run, y in enumerate(ys)]
    return pd.DataFrame(rows, columns=["t", "c", "k", "run", "yield"])


def study(seeds: int, noise: float, random: np.random.Generator, **effects: float) -> pd.DataFrame:
    """A grid of the paper's factors with planted effects (in points, as `factorial` reports them)."""
    rows = []
    levels = (("base", "augmented"), ("vae", "categorical_vae"), ("none", "pretrained"))
    seed_effects = random.normal(0, 0.02, seeds)
    for cell in itertools.product(*levels):
        code = [names.index(value) - 0.5 for names, value in zip(levels, cell, strict=True)]
        size = {"train_dataset": code[0], "model": code[1], "stn": code[2], "interaction": code[0] * code[1]}
        mean = 0.75 + sum(effects.get(name, 0) / 100 * value for name, value in size.items())
        rows += [(*cell, seed, mean + seed_effects[seed] + random.normal(0, noise)) for seed in range(seeds)]
    return pd.DataFrame(rows, columns=["train_dataset", "model", "stn", "seed", "augmented_accuracy"])


def test_the_pilot_plant_as_published() -> None:
    result = factorial(pilot_plant(), "yield", ["t", "c", "k"], block=None, scale=1)
    effects = result.effects.set_index("term")
    for term, value in PUBLISHED.items():
        assert effects.loc[term, "effect"] == pytest.approx(value * 2 ** (effects.loc[term, "order"] - 1), abs=1e-9)
    assert result.residual_sd == pytest.approx(math.sqrt(8))
    assert result.residual_degrees_of_freedom == 8
    # Standard error of an effect 1.4, of 8 degrees of freedom: half-width 2.306 x 1.4142.
    assert (effects["high"] - effects["low"])["t"] / 2 == pytest.approx(2.306 * math.sqrt(2), abs=1e-3)
    assert effects.loc["t", "contrast"] == "180 - 160"
    variance = result.analysis_of_variance.set_index("term")
    assert variance.loc["t", "f"] == pytest.approx((23 / math.sqrt(2)) ** 2)
    assert variance.loc["t", "partial_eta_squared"] == pytest.approx(264.5 / (264.5 + 8))


def test_planted_effects_are_found_with_the_seed_as_block() -> None:
    frame = study(6, 0.002, np.random.default_rng(0), train_dataset=3.0, model=8.0, interaction=-2.0)
    result = factorial(frame, confidence=0.9999)
    effects = result.effects.set_index("term")
    for term, value in {"train_dataset": 3.0, "model": 8.0, "stn": 0.0, "train_dataset x model": -2.0}.items():
        assert effects.loc[term, "low"] < value < effects.loc[term, "high"], term
        assert effects.loc[term, "effect"] == pytest.approx(value, abs=0.5)
    assert effects.loc["train_dataset x model", "contrast"] == "augmented - base, categorical_vae - vae"
    assert result.residual_sd == pytest.approx(0.2, rel=0.4)
    # What a seed brings, about 2 points, is no error.
    assert effects.loc["train_dataset x model", "p_value"] < 0.001
    assert factorial(frame, block=None).residual_sd > 3 * result.residual_sd


def test_no_effect_is_found_no_more_often_than_the_level() -> None:
    random = np.random.default_rng(1)
    p_values = np.concatenate([factorial(study(2, 0.003, random)).effects["p_value"].to_numpy() for _ in range(60)])
    assert np.mean(p_values <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / len(p_values))


def test_a_mixed_model_agrees_where_the_design_is_balanced() -> None:
    frame = study(5, 0.003, np.random.default_rng(2), model=5.0)
    fixed, mixed = factorial(frame), factorial(frame, model="mixed")
    np.testing.assert_allclose(mixed.effects["effect"], fixed.effects["effect"], atol=1e-6)
    assert mixed.residual_sd == pytest.approx(fixed.residual_sd, rel=1e-3)


def test_a_mixed_model_without_seed_effects_is_noted_and_not_warned_of() -> None:
    frame = study(3, 0.003, np.random.default_rng(3))
    seeds = frame.groupby("seed")["augmented_accuracy"].transform("mean")
    result = factorial(frame.assign(augmented_accuracy=frame["augmented_accuracy"] - seeds), model="mixed")
    assert len(result.effects) == 7
    assert result.note != ""


def test_a_field_that_some_trials_leave_unset_has_that_as_a_level_over_images() -> None:
    random = np.random.default_rng(5)
    cells = [(target, weight) for target in (None, "base") for weight in (None, 0.5, 2.0)]
    frame = pd.DataFrame(cells, columns=["reconstruction_target", "consistency_weight"])
    frame["reconstruction_target"] = frame["reconstruction_target"].astype("string")
    shares = [0.5 + 0.1 * (target == "base") + 0.05 * (weight or 0) for target, weight in cells]
    correct = random.random((len(cells), 50_000)) < np.array(shares)[:, None]
    effects = factorial_over_images(frame, correct, list(frame)).effects.set_index(["term", "contrast"])["effect"]
    assert effects["reconstruction_target", "base - unset"] == pytest.approx(10, abs=0.7)
    assert effects["consistency_weight", "consistency_weight unset"] == pytest.approx(-12.5 / 3, abs=0.7)


def test_a_field_that_some_trials_leave_unset_has_that_as_a_level_over_seeds() -> None:
    random = np.random.default_rng(5)
    rows = [
        (target, seed, 0.7 + 0.1 * (target == "base") + random.normal(0, 0.001))
        for target in (None, "base")
        for seed in range(4)
    ]
    frame = pd.DataFrame(rows, columns=["reconstruction_target", "seed", "base_accuracy"])
    frame["reconstruction_target"] = frame["reconstruction_target"].astype("string")
    result = factorial(frame, "base_accuracy", ["reconstruction_target"])
    assert result.n == len(rows)
    effects = result.effects.set_index("contrast")["effect"]
    assert effects["base - unset"] == pytest.approx(10, abs=0.3)


def test_a_factor_of_many_levels_has_an_effect_for_each_against_their_mean() -> None:
    random = np.random.default_rng(4)
    truth = {2: -6.0, 10: 1.0, 100: 5.0}
    rows = [
        (size, model, seed, (70 + effect + 2 * (model == "vae") + random.normal(0, 0.1)) / 100)
        for size, effect in truth.items()
        for model in ("vae", "categorical_vae")
        for seed in range(4)
    ]
    frame = pd.DataFrame(rows, columns=["latent_dim", "model", "seed", "base_accuracy"])
    result = factorial(frame, "base_accuracy", ["latent_dim", "model"])
    effects = result.effects.set_index(["term", "contrast"])["effect"]
    for size, value in truth.items():
        assert effects["latent_dim", f"latent_dim {size}"] == pytest.approx(value, abs=0.2)
    assert effects["model", "categorical_vae - vae"] == pytest.approx(-2.0, abs=0.2)
    assert effects["latent_dim"].sum() == pytest.approx(0, abs=1e-9)
    assert effects["latent_dim x model"].sum() == pytest.approx(0, abs=1e-9)
    variance = result.analysis_of_variance.set_index("term")
    assert variance["degrees_of_freedom"].to_dict() == {"latent_dim": 2, "model": 1, "latent_dim x model": 2}
    assert variance["p_value"]["latent_dim"] < 1e-6


def test_one_seed_leaves_out_the_highest_interaction_to_have_an_error() -> None:
    result = factorial(study(1, 0.003, np.random.default_rng(5), model=5.0))
    assert result.note == "too few trials for interactions of 3"
    assert result.effects["order"].max() == 2
    assert result.residual_degrees_of_freedom == 1


def test_a_missing_cell_still_gives_main_effects() -> None:
    frame = study(1, 1e-4, np.random.default_rng(6), model=5.0, stn=1.0)[1:]
    result = factorial(frame, order=1)
    assert result.effects.set_index("term").loc["model", "effect"] == pytest.approx(5.0, abs=0.1)


def test_factors_of_one_value_are_left_out_and_named() -> None:
    frame = study(3, 0.003, np.random.default_rng(7), model=5.0)
    result = factorial(frame[frame["stn"] == "none"])
    assert result.effects["term"].tolist() == ["train_dataset", "model", "train_dataset x model"]
    assert result.note == "stn has one value"


@pytest.mark.parametrize("planted", [0.0, 5.0])
def test_figures_without_noise_need_no_error(planted: float) -> None:
    random = np.random.default_rng(8)
    frame = study(2, 0.0, random, model=planted)
    effects = factorial(frame).effects.set_index("term")
    assert effects.loc["model", "effect"] == pytest.approx(planted, abs=1e-9)
    assert effects.loc["model", "p_value"] == (0.0 if planted else 1.0)
    assert effects.loc["stn", "p_value"] == 1.0


def test_too_little_is_refused() -> None:
    frame = study(1, 0.003, np.random.default_rng(9))
    with pytest.raises(ValueError, match="none of train_dataset, model, stn has two values"):
        factorial(frame[:1])
    with pytest.raises(ValueError, match="3 trials are too few for the main effects of train_dataset, model, stn"):
        factorial(frame.iloc[[0, 3, 5]])


def test_effects_over_test_images_of_one_seed() -> None:
    random = np.random.default_rng(10)
    cells = study(1, 0.0, random, model=10.0)
    shares = 0.70 + 0.1 * (cells["model"] == "categorical_vae")
    correct = random.random((8, 10_000)) < shares.to_numpy()[:, None]
    result = factorial_over_images(cells, correct)
    effects = result.effects.set_index("term")
    accuracy = correct.mean(axis=1) * 100
    by_hand = accuracy[cells["model"] == "categorical_vae"].mean() - accuracy[cells["model"] == "vae"].mean()
    assert effects.loc["model", "effect"] == pytest.approx(by_hand, abs=1e-9)
    assert effects.loc["model", "low"] < 10 < effects.loc["model", "high"]
    assert effects.loc["model", "p_value"] < 1e-10
    assert effects.loc["train_dataset x model x stn", "order"] == 3
    assert result.over == "test images"
    assert "one seed" in result.note
    with pytest.raises(ValueError, match="7 cells do not fill the factorial"):
        factorial_over_images(cells[1:], correct[1:])
