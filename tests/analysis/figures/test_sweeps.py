"""Accuracy along latent size and KL weight: the right points on the right lines."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import analysis
from analysis.figures import sweep_points, sweeps
from analysis.figures.drawing import log_axis, style
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.figures.sweep_points import BETA, KL_WEIGHT, LATENT_SIZE
from tests.analysis import synthetic
from tivae.config import TrialConfig

SIZES = [
    *(TrialConfig(latent_dim=size, seed=seed) for size in (2, 10, 100) for seed in range(3)),
    *(TrialConfig(model="categorical_vae", latent_dim=size, seed=seed) for size in (1, 10) for seed in range(3)),
]


def by_size(config, draw):
    accuracy = 0.5 + 0.2 * np.log10(config.encoding_dim) + draw.gauss(0, 1e-3)
    return {"base_accuracy": accuracy, "augmented_accuracy": accuracy - 0.1}


def study_of(results, configs, metrics=by_size):
    return analysis.load(synthetic.write_study(results, configs, metrics))


def with_control(study, model, latent_dim, accuracy):
    """`study` with one more trial, a control as another issue will make them."""
    row = study.trials.iloc[[0]].assign(
        model=model,
        key=f"{model}{latent_dim}",
        latent_dim=latent_dim,
        base_accuracy=accuracy,
        augmented_accuracy=accuracy,
    )
    return dataclasses.replace(study, trials=pd.concat([study.trials, row], ignore_index=True))


@pytest.fixture
def sizes(tmp_path):
    return study_of(tmp_path, SIZES)


def test_each_model_is_a_series_over_the_numbers_that_the_probe_reads(sizes):
    frame = sweep_points.numbers(sizes, LATENT_SIZE)
    found = frame[frame["test_set"] == "base"].groupby("series")["x"].apply(list).to_dict()

    assert found == {"VAE": [2, 10, 100], "categorical VAE": [10, 100]}
    assert (frame["n"] == 3).all()
    assert set(frame["over"]) == {"seeds and test images"}


def test_means_are_over_seeds(sizes):
    frame = sweep_points.numbers(sizes, LATENT_SIZE)
    point = frame[(frame["series"] == "VAE") & (frame["x"] == 100) & (frame["test_set"] == "augmented")].iloc[0]
    own = sizes.where(model="vae", latent_dim=100).trials["augmented_accuracy"]

    assert point["mean"] == pytest.approx(own.mean())
    assert point["low"] < own.mean() < point["high"]


def test_other_shapes_of_one_size_are_off_the_line(tmp_path):
    shapes = [
        TrialConfig(model="categorical_vae", latent_dim=variables, categories=classes)
        for variables, classes in ((1, 10), (5, 20), (10, 10), (20, 5))
    ]
    frame = sweep_points.numbers(study_of(tmp_path, shapes), LATENT_SIZE)
    base = frame[frame["test_set"] == "base"]

    assert base.set_index(["latent_dim", "categories"])["on_line"].to_dict() == {
        **{(1, 10): True, (10, 10): True},
        **{(5, 20): False, (20, 5): False},
    }


def test_trials_with_another_setting_than_the_papers_are_left_out(tmp_path):
    others = [TrialConfig(latent_dim=size, kl_weight=0.1) for size in (2, 10)]
    frame = sweep_points.numbers(study_of(tmp_path, [*SIZES, *others]), LATENT_SIZE)

    assert (frame.loc[frame["x"] == 2, "n"] == 3).all()


def test_training_data_and_stn_tell_series_apart(tmp_path):
    configs = [
        TrialConfig(latent_dim=size, train_dataset=train, stn=stn)
        for size in (2, 10)
        for train, stn in (("base", "none"), ("base", "pretrained"), ("augmented", "none"))
    ]
    frame = sweep_points.numbers(study_of(tmp_path, configs), LATENT_SIZE)

    assert set(frame["series"]) == {
        *("VAE, trained on base, no STN", "VAE, trained on base, STN", "VAE, trained on augmented, no STN")
    }


def test_a_single_size_is_no_sweep(tmp_path):
    rule = "no series of finished trials, alike in all other settings, has two values of the latent size"
    with pytest.raises(NotSupported, match=rule):
        sweep_points.numbers(study_of(tmp_path, [TrialConfig(seed=seed) for seed in range(3)]), LATENT_SIZE)


WEIGHTS = [
    *(TrialConfig(kl_weight=weight) for weight in (0, 1e-5, 1e-3, 1e-2)),
    *(TrialConfig(model="categorical_vae", kl_weight=weight) for weight in (0, 1e-3, 0.03, 0.3)),
]


def test_beta_makes_the_weights_of_both_models_comparable(tmp_path):
    frame = sweep_points.numbers(study_of(tmp_path, WEIGHTS), BETA)
    found = frame[frame["test_set"] == "base"].groupby("series")["x"].apply(list).to_dict()

    # The VAE's reconstruction weight is 1, the categorical VAE's 30.
    assert found["VAE"] == [0, 0.00392, 0.392, 3.92]
    assert found["categorical VAE"] == [0, 0.0131, 0.392, 3.92]


def test_weight_zero_stands_at_the_left_and_is_called_so(tmp_path):
    frame = sweep_points.numbers(study_of(tmp_path, WEIGHTS), KL_WEIGHT)
    ax = sweeps.draw(Figure().subplots(), frame[frame["test_set"] == "base"], KL_WEIGHT)
    places = ax.containers[0].lines[0].get_xdata()
    ticks = dict(zip(ax.get_xticks(), [text.get_text() for text in ax.get_xticklabels()], strict=True))

    assert ax.get_xscale() == "log"
    assert places[1:] == pytest.approx([1e-5, 1e-3, 1e-2])
    assert 0 < places[0] < 1e-5
    assert ticks[places[0]] == "0"


@pytest.mark.parametrize(
    ("ticks", "shown"),
    [
        ([1e-5, 1e-3, 0.1], ["$10^{-5}$", "$10^{-3}$", "$10^{-1}$"]),
        ([0.01, 0.1, 1], ["0.01", "0.1", "1"]),
        ([2, 10, 50], ["2", "10", "50"]),
    ],
)
def test_the_ticks_of_an_axis_have_one_format(ticks, shown):
    assert list(map(log_axis._tick_format(ticks), ticks)) == shown


def test_without_zero_the_axis_has_no_break(sizes):
    frame = sweep_points.numbers(sizes, LATENT_SIZE)
    ax = sweeps.draw(Figure().subplots(), frame[frame["test_set"] == "base"], LATENT_SIZE)

    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "10", "100"]
    assert all(line.get_transform() != ax.get_xaxis_transform() for line in ax.lines)


def test_pixels_are_a_level_and_pca_a_line(sizes):
    study = with_control(sizes, "pixels", None, 0.84)
    for size in (2, 10, 100):
        study = with_control(study, "pca", size, 0.6 + size / 1000)
    frame = sweep_points.numbers(study, LATENT_SIZE)
    ax = sweeps.draw(Figure().subplots(), frame[frame["test_set"] == "base"], LATENT_SIZE)
    lines = {line.get_label(): line for line in ax.lines}

    assert lines["raw pixels"].get_ydata() == pytest.approx([84, 84])
    assert lines["PCA"].get_ydata() == pytest.approx([60.2, 61, 70])
    assert frame.loc[frame["is_control"], "model"].value_counts().to_dict() == {"pca": 6, "pixels": 2}


def test_the_papers_value_is_found_where_it_is_unset_or_a_list(tmp_path):
    others = [{"orbit_warps": 4}, {"hidden_widths": (8, 16)}]
    configs = [TrialConfig(latent_dim=size) for size in (2, 20)]
    configs += [TrialConfig(latent_dim=size, **given) for size in (3, 5, 7) for given in others]
    frame = sweep_points.numbers(study_of(tmp_path, configs), LATENT_SIZE)

    assert sorted(set(frame["x"])) == [2, 20]


def test_a_single_point_is_no_line(tmp_path):
    configs = [TrialConfig(latent_dim=size) for size in (2, 20)] + [TrialConfig(model="autoencoder")]
    frame = sweep_points.numbers(study_of(tmp_path, configs), LATENT_SIZE)

    assert set(frame["series"]) == {"VAE"}


def test_a_control_behind_an_stn_or_another_front_is_no_level(tmp_path):
    controls = [TrialConfig(model="pixels", **given) for given in ({}, {"stn": "pretrained"}, {"front": "moments"})]
    known = {config.key: accuracy for config, accuracy in zip(controls, (0.7, 0.8, 0.9), strict=True)}

    def measured(config, draw):
        return by_size(config, draw) | ({"base_accuracy": known[config.key]} if config.key in known else {})

    frame = sweep_points.numbers(study_of(tmp_path, [*SIZES, *controls], measured), LATENT_SIZE)
    own = frame[frame["is_control"] & (frame["test_set"] == "base")]

    assert own["mean"].tolist() == [0.7]


def test_a_control_is_named_with_its_size_where_the_axis_does_not_say_it(tmp_path):
    study = with_control(study_of(tmp_path, WEIGHTS), "pca", 10, 0.7)
    frame = sweep_points.numbers(study, KL_WEIGHT)

    assert "PCA, 10 latents" in set(frame["series"])


def test_models_have_their_own_marks(sizes):
    frame = sweep_points.numbers(sizes, LATENT_SIZE)
    ax = sweeps.draw(Figure().subplots(), frame[frame["test_set"] == "base"], LATENT_SIZE)
    colours = {container.get_label(): container.lines[0].get_color() for container in ax.containers}

    assert colours == {
        "VAE": style.MODEL_MARKS["vae"].colour,
        "categorical VAE": style.MODEL_MARKS["categorical_vae"].colour,
    }


def test_a_study_of_both_has_both_figures(tmp_path):
    drawn = sweeps.drawn(Sources(study_of(tmp_path, [*SIZES, *WEIGHTS])))

    assert [figure.name for figure in drawn] == ["accuracy_by_latent_size", "accuracy_by_kl_weight"]
    assert set(drawn[1].data["sweep"]) == {"kl_weight", "beta"}
    assert "Weight 0 stands beyond the break" in drawn[1].caption


def test_the_papers_grid_has_no_sweep(tmp_path):
    """Its two models differ in size, but none of them has two sizes."""
    with pytest.raises(NotSupported, match="KL weight"):
        sweeps.drawn(Sources(study_of(tmp_path, synthetic.grid())))


def test_of_two_models_the_difference_is_drawn_near_0(tmp_path):
    configs = [
        *(TrialConfig(latent_dim=size) for size in (10, 50)),
        *(TrialConfig(model="categorical_vae", latent_dim=size, categories=10) for size in (1, 5)),
    ]
    accuracies = dict(zip([config.key for config in configs], (0.5, 0.7, 0.2, 0.69), strict=True))

    def metrics(config, _):
        return {"base_accuracy": accuracies[config.key], "augmented_accuracy": accuracies[config.key]}

    study = analysis.load(synthetic.write_study(tmp_path, configs, metrics))
    (drawn,) = sweeps.drawn(Sources(study))
    ax = drawn.figure.axes[3]
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([-30, -1])
    assert ax.get_ylim() == (-sweeps.DIFFERENCE_POINTS, sweeps.DIFFERENCE_POINTS)
    # An arrow names the one outside the axis.
    assert [text.get_text() for text in ax.texts] == ["↓ −30.0"]
    assert "Below, their difference near 0." in drawn.caption


def test_the_difference_of_seeds_is_theirs_seed_by_seed(tmp_path):
    """What a seed brings to both models cancels: the interval is narrower than either's."""

    def metrics(config, _):
        accuracy = 0.7 + 0.02 * config.seed + 0.01 * (config.model == "vae") * (1 + 0.1 * config.seed)
        return {"base_accuracy": accuracy, "augmented_accuracy": accuracy}

    study = study_of(tmp_path, SIZES, metrics)
    frame = sweep_points.numbers(study, LATENT_SIZE)
    gaps = sweep_points.differences(study, LATENT_SIZE, frame, ["VAE", "categorical VAE"])
    assert gaps["x"].tolist() == [10, 10, 100, 100]
    assert gaps["n"].tolist() == [3] * 4
    assert gaps["mean"].tolist() == pytest.approx([-1.1] * 4)
    widest = 100 * (frame["high"] - frame["low"]).max()
    assert (gaps["high"] - gaps["low"]).max() < widest / 4
    (drawn,) = sweeps.drawn(Sources(study))
    dots = [line for line in drawn.figure.axes[3].lines if line.get_markersize() == style.SEED_MARK["markersize"]]
    assert [len(line.get_ydata()) for line in dots] == [3, 3]
