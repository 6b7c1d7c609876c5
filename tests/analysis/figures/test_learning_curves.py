"""Losses by epoch: mean and range over the seeds that a cell has."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

import analysis
from analysis.figures import learning_curves
from analysis.figures.drawing import style
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from tests.analysis import synthetic
from tivae.config import TrialConfig


def write(results, config, losses, status="finished", **metrics):
    """A record whose base loss by epoch is `losses`, its augmented loss ten times that."""
    error = None if status == "finished" else "NonFiniteLoss: at step 3"
    record = synthetic.record(config, status, error, **metrics)
    record["epochs"] = [
        {**row, "base_loss": loss, "augmented_loss": 10 * loss}
        for row, loss in zip(record["epochs"], losses, strict=False)
    ]
    synthetic.write_record(results, record)


def numbers(results):
    return learning_curves.numbers(analysis.load(results)).set_index(["test_set", "epoch"])


def test_mean_and_range_are_over_seeds(tmp_path):
    for seed, losses in enumerate([[4.0, 1.0], [2.0, 3.0], [3.0, 2.5]]):
        write(tmp_path, TrialConfig(seed=seed, epochs=2), losses)
    frame = numbers(tmp_path)

    assert frame.loc[("base", 1), ["seeds", "mean", "low", "high"]].tolist() == [3, 3.0, 2.0, 4.0]
    assert frame.loc[("augmented", 2), ["mean", "low", "high"]].tolist() == pytest.approx([65 / 3, 10, 30])
    assert len(frame) == 4


def test_failed_trials_do_not_count(tmp_path):
    write(tmp_path, TrialConfig(epochs=2), [4.0, 1.0])
    write(tmp_path, TrialConfig(seed=1, epochs=2), [100.0], status="failed")

    assert numbers(tmp_path).loc[("base", 1), ["seeds", "mean"]].tolist() == [1, 4.0]


def test_nothing_but_failures_is_reported(tmp_path):
    write(tmp_path, TrialConfig(epochs=2), [100.0], status="failed")

    with pytest.raises(NotSupported, match="no finished or running trial has an epoch"):
        learning_curves.numbers(analysis.load(tmp_path))


def halted(results, config, epochs):
    """A running trial, as its checkpoint shows it, beside the finished ones of `results`."""
    study = analysis.load(results)
    rows = study.trials.iloc[[0]].assign(status="running", key=config.key, seed=config.seed, model=config.model)
    own = study.epochs[study.epochs["key"] == study.trials["key"].iloc[0]].head(epochs).assign(key=config.key)
    trials, all_epochs = pd.concat([study.trials, rows]), pd.concat([study.epochs, own])
    return analysis.Study(trials, all_epochs, study.folders)


def test_a_running_trial_shows_where_its_cell_has_no_finished_one(tmp_path):
    write(tmp_path, TrialConfig(epochs=3), [4.0, 3.0, 2.0])
    study = halted(tmp_path, TrialConfig(model="categorical_vae", epochs=3), 2)
    frame = learning_curves.numbers(study)
    running = frame[frame["status"] == "running"]

    assert running["epoch"].tolist() == [1, 2, 1, 2]
    assert set(running["model"]) == {"categorical_vae"}


def test_a_running_trial_does_not_shorten_a_finished_cell(tmp_path):
    write(tmp_path, TrialConfig(epochs=3), [4.0, 3.0, 2.0])
    frame = learning_curves.numbers(halted(tmp_path, TrialConfig(seed=1, epochs=3), 1))

    assert frame["seeds"].eq(1).all()
    assert frame["epoch"].max() == 3


def test_epochs_that_not_all_seeds_have_are_left_out(tmp_path):
    write(tmp_path, TrialConfig(epochs=2), [4.0, 3.0])
    write(tmp_path, TrialConfig(epochs=2, seed=1), [2.0])

    assert numbers(tmp_path).loc["base"].index.tolist() == [1]


@pytest.mark.parametrize(("seeds", "bands"), [(1, 0), (3, 2)])
def test_seeds_are_drawn_as_bands(tmp_path, seeds, bands):
    for seed in range(seeds):
        write(tmp_path, TrialConfig(seed=seed, epochs=2), [4.0 + seed, 1.0])
    ax = learning_curves.draw(Figure().subplots(), learning_curves.numbers(analysis.load(tmp_path)))

    assert len(ax.collections) == bands
    assert {line.get_label() for line in ax.lines} == {"base test set", "augmented test set"}
    assert len({line.get_linestyle() for line in ax.lines}) == 2


def test_each_model_begins_a_row_and_shares_its_axis(tmp_path):
    study = synthetic.study_of(tmp_path, synthetic.grid(epochs=2))
    frame = learning_curves.numbers(study)
    with style.applied():
        axes = learning_curves.draw_all(style.new_figure(4), frame).axes

    titles = [ax.get_title() for ax in axes]
    assert len(axes) == 8
    assert [title.split(",")[0] for title in titles] == ["VAE"] * 4 + ["categorical VAE"] * 4
    assert len({ax.get_ylim() for ax in axes[:4]}) == len({ax.get_ylim() for ax in axes[4:]}) == 1


def test_of_many_cells_the_best_of_each_model_are_in_colour(tmp_path):
    configs = [
        TrialConfig(model=model, latent_dim=size, epochs=1)
        for model in ("vae", "categorical_vae")
        for size in range(1, 13)
    ]
    for number, config in enumerate(configs):
        write(tmp_path, config, [float(number)])
    drawn = learning_curves.drawn(Sources(analysis.load(tmp_path)))[0]

    assert "a line for each of 24 cells" in drawn.caption
    assert drawn.data["cell"].nunique() == 24
    axes = drawn.figure.axes
    assert len(axes) == 4
    for ax in axes:
        lines = [line for line in ax.lines if not line.get_label().startswith("_")]
        assert len(ax.lines) == 12
        assert {label_of(line).split(", ")[3] for line in lines} == {"1 latent", "2 latents", "3 latents"}


def test_what_collapsed_is_not_called_the_best(tmp_path):
    write(tmp_path, TrialConfig(latent_dim=5, epochs=1), [1.0], dead_latents=5)
    write(tmp_path, TrialConfig(latent_dim=7, epochs=1), [2.0], dead_latents=0)
    (drawn,) = learning_curves.drawn(Sources(analysis.load(tmp_path)))
    assert "from 20 to 20 in the cell with the lowest (VAE, trained on base, no STN, 7 latents)" in drawn.alt


def label_of(line):
    return line.get_label().replace("\n", " ")


def test_lines_of_many_cells_are_named_beside_their_panels(tmp_path):
    common = {"model": "vicreg", "train_dataset": "augmented", "view_brightness": 0.4, "view_erasing": 0.3, "epochs": 1}
    common |= {"reconstruction_weight": 10, "reconstruction_target": "base"}
    chosen = [("none", 0.2), ("none", 0.1), ("pretrained", 0.1)]
    configs = [TrialConfig.from_dict({**common, "stn": stn, "view_noise": noise}) for stn, noise in chosen]
    configs += [TrialConfig(latent_dim=size, epochs=1) for size in range(1, 16)]
    for number, config in enumerate(configs):
        write(tmp_path, config, [float(number)])
    with style.applied():
        figure = learning_curves.drawn(Sources(analysis.load(tmp_path)))[0].figure
        figure.draw_without_rendering()
    legends = [ax.get_legend() for ax in figure.axes if ax.get_legend() is not None]

    assert [text.get_text().count("\n") for text in legends[1].texts] == [1, 1, 1]
    for ax in figure.axes:
        assert ax.bbox.width > figure.bbox.width / 5
    for legend in legends:
        assert legend.get_window_extent().x0 > max(ax.bbox.x1 for ax in figure.axes)
