"""Accuracy under known warps."""

import json

import pandas as pd
import pytest
from matplotlib.figure import Figure

import analysis
from analysis.figures import warp_curves
from analysis.figures.drawing import style
from analysis.figures.drawing.known_warps import CURVE_WARPS
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.inference import accuracy_interval, at_most
from tests.analysis import synthetic
from tivae.config import TrialConfig


def made_up(seeds=1, models=("vae",)):
    rows = [
        [model, train, stn, seed, warp.name, amount, 0.8 - 0.01 * abs(amount - warp.identity) + 0.02 * seed, 500]
        for model in models
        for train in ("base", "augmented")
        for stn in ("no STN", "STN")
        for seed in range(seeds)
        for warp in CURVE_WARPS
        for amount in warp.amounts
    ]
    return pd.DataFrame(rows, columns=list(warp_curves.COLUMNS))


def point(frame, amount):
    chosen = frame[(frame["warp"] == "rotation") & (frame["amount"] == amount) & (frame["front"] == "no STN")]
    return chosen[chosen["train_dataset"] == "base"].iloc[0]


def test_seeds_have_the_interval_over_seeds_and_images():
    row = point(warp_curves.numbers(made_up(seeds=3)), 10)
    expected = at_most([0.70, 0.72, 0.74], 500).interval()

    assert (row["n"], row["mean"], row["over"]) == (3, pytest.approx(0.72), "seeds and test images")
    assert row["seeds"] == "0.7 0.72 0.74"
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))


def test_one_seed_has_the_interval_over_test_images():
    row = point(warp_curves.numbers(made_up()), 10)
    expected = accuracy_interval(0.7, 500)

    assert (row["low"], row["high"], row["over"]) == pytest.approx((expected.low, expected.high, "test images"))


def test_a_line_per_training_data_and_stn_is_drawn():
    frame = warp_curves.numbers(made_up(seeds=2))
    ax = warp_curves.draw(Figure().subplots(), frame, CURVE_WARPS[1], TrialConfig())

    lines = [line for line in ax.lines if not line.get_label().startswith("_")]
    assert [line.get_label() for line in lines] == [
        "trained on base, no STN",
        "trained on base, STN",
        "trained on augmented, no STN",
        "trained on augmented, STN",
    ]
    assert lines[0].get_xdata().tolist() == list(CURVE_WARPS[1].amounts)
    assert len({line.get_marker() for line in lines}) == 4
    assert len(ax.lines) == 4 * (1 + len(CURVE_WARPS[1].amounts))  # the seeds of each point


def test_each_model_has_a_row_of_panels():
    frame = warp_curves.numbers(made_up(models=("categorical_vae", "vae")))
    with style.applied():
        axes = warp_curves.draw_all(style.new_figure(4), frame).axes

    assert [ax.get_title() for ax in axes] == ["VAE"] * 3 + ["categorical VAE"] * 3


def test_a_line_looks_alike_in_the_panels_of_all_models():
    made = made_up(models=("vae", "pca"))
    frame = warp_curves.numbers(made[(made["model"] == "pca") | (made["train_dataset"] == "augmented")])
    colours: dict[str, set] = {}
    for ax in warp_curves.draw_all(Figure(), frame).axes:
        for line in ax.lines:
            if not line.get_label().startswith("_"):
                colours.setdefault(line.get_label(), set()).add(line.get_color())

    assert [len(found) for found in colours.values()] == [1] * 4
    assert len(set.union(*colours.values())) == 4


def test_the_axis_ends_where_shares_do():
    """Student's interval of two seeds that differ much goes beyond them."""
    frame = warp_curves.numbers(made_up(seeds=2)).assign(low=-0.5, high=1.5)

    assert warp_curves.draw_all(Figure(), frame).axes[0].get_ylim() == (0, 100)


def test_a_frame_without_a_column_is_refused():
    with pytest.raises(ValueError, match="`images` is not a column"):
        warp_curves.numbers(made_up().drop(columns="images"))


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'shear'; it must be one of"):
        warp_curves.numbers(made_up().assign(warp="shear"))


def write_curves(study, key, level=0.7):
    curve = {"values": [0.0, 2.0, 8.0], "accuracy": [level, level - 0.01, level - 0.3]}
    warps = ("rotation_degrees", "shift_pixels", "scale", "shear_of_a_later_version")
    content = {"format": 1, "level": "standard", "curves": dict.fromkeys(warps, curve)}
    (study.trial(key).folder / "measures.json").write_text(json.dumps(content))


def test_what_the_trials_measured_is_drawn(tmp_path):
    """Of two latent sizes that with the better augmented accuracy; all its seeds."""
    configs = [TrialConfig(latent_dim=size, seed=seed) for size in (5, 10) for seed in (0, 1)]
    metrics = {5: 0.6, 10: 0.7}
    path = synthetic.write_study(tmp_path, configs, lambda c, _: {"augmented_accuracy": metrics[c.latent_dim]})
    study = analysis.load(path)
    for config in configs:
        write_curves(study, config.key, metrics[config.latent_dim] + 0.02 * config.seed)
    frame = warp_curves.numbers(warp_curves.recorded(study))
    (figure,) = warp_curves.drawn(Sources(study))

    assert frame[frame["amount"] == 0]["mean"].tolist() == pytest.approx([0.71] * 3)
    assert set(frame["warp"]) == {"rotation", "shift", "scale"}
    assert set(frame["n"]) == {2}
    assert "10,000 test images that are all rotated, shifted (right, down, left and up" in figure.caption
    assert "Of several latents those with the best augmented accuracy." in figure.caption
    assert [ax.get_xlabel() for ax in figure.figure.axes] == [
        *("Rotation (degrees)", "Shift (pixels)", "Scale (factor)"),
    ]


def test_the_best_cell_is_that_of_trials_with_curves_and_a_front_is_a_line_of_its_own(tmp_path):
    given = [{"latent_dim": 5}, {"latent_dim": 10}, {"latent_dim": 5, "front": "moments"}]
    configs = [TrialConfig(**one) for one in given]
    path = synthetic.write_study(tmp_path, configs, lambda c, _: {"augmented_accuracy": c.latent_dim / 20})
    study = analysis.load(path)
    write_curves(study, configs[0].key)
    write_curves(study, configs[2].key, 0.8)
    frame = warp_curves.recorded(study)

    assert frame.attrs["keys"] == [configs[2].key, configs[0].key]
    assert frame.groupby("front")["accuracy"].max().to_dict() == {"front moments": 0.8, "no STN": 0.7}
    assert "1 seed; " in warp_curves.drawn(Sources(study))[0].caption


@pytest.mark.parametrize(("degrees", "shaded"), [((30, 30), [(-30, 30)]), ((10, 30), [])])
def test_the_range_is_shaded_with_which_all_were_trained(tmp_path, degrees, shaded):
    arms = zip(("base", "augmented"), degrees, strict=True)
    configs = [TrialConfig(train_dataset=data, rotation_degrees=most) for data, most in arms]
    study = synthetic.study_of(tmp_path, configs, lambda *_: {})
    for config in configs:
        write_curves(study, config.key)
    ax = warp_curves.drawn(Sources(study))[0].figure.axes[0]

    assert [(span.get_x(), span.get_x() + span.get_width()) for span in ax.patches] == shaded


def test_damaged_curves_are_reported(tmp_path):
    study = synthetic.study_of(tmp_path, [TrialConfig()], lambda *_: {})
    trial = study.trial(TrialConfig().key)
    (trial.folder / "measures.json").write_text('{"curves": [1]}')
    with pytest.raises(ValueError, match=r"measures\.json does not hold curves"):
        trial.curves()
    with pytest.raises(NotSupported, match="no trial has measured"):
        warp_curves.recorded(study)


def test_without_accuracies_the_figure_is_skipped(tmp_path):
    study = synthetic.study_of(tmp_path, [TrialConfig()], lambda *_: {})
    with pytest.raises(NotSupported, match="no trial has measured its accuracy"):
        warp_curves.drawn(Sources(study))
    with pytest.raises(NotSupported, match="has been measured"):
        warp_curves.numbers(made_up().head(0))
