"""Reconstructions, samples and traversals: the models' own, at their places."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

import analysis
from analysis.figures import learning_curves
from analysis.figures.drawing import image_grids as grids
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.figures.images import reconstructions
from analysis.frames.study import Study
from tivae import stages
from tivae.config import TrialConfig


def trained(study, model, stn="none"):
    return study.trial(study.where(model=model, stn=stn).trials["key"].iloc[0]).model()


@pytest.fixture(scope="module")
def models(study):
    return {"VAE": trained(study, "vae"), "categorical VAE": trained(study, "categorical_vae")}


def as_pixels(images):
    return np.rint(images * 255).astype(np.uint8)


def test_each_image_stands_with_its_reconstructions(images, models):
    frame = reconstructions.numbers(images, models)
    base = frame[frame["test_set"] == "base"]

    assert list(dict.fromkeys(frame["row"])) == ["input", "VAE", "categorical VAE"]
    assert np.array_equal(grids.pixels_of(base[base["row"] == "input"]), images.test_images[:10])
    for name, model in models.items():
        shown = grids.pixels_of(base[base["row"] == name]).astype(int)
        assert np.abs(shown - as_pixels(model.reconstruct(images.test_images[:10]))).max() <= 1


def test_samples_are_the_models_own_and_the_same_each_time(models):
    frame = reconstructions.sample_numbers(models, count=10)

    assert np.array_equal(grids.pixels_of(frame[frame["model"] == "VAE"]), as_pixels(models["VAE"].sample(10)))
    assert frame.equals(reconstructions.sample_numbers(models, count=10))


def test_a_categorical_variable_takes_each_of_its_classes(images, models):
    model = models["categorical VAE"]
    frame = reconstructions.traversal_numbers(model, images.test_images[0], np.array([1.0, 3.0, 2.0]))
    own = frame[frame["is_own"]]

    assert list(dict.fromkeys(frame["latent"])) == [1, 2, 0]
    assert frame["value"].tolist() == [0, 1, 2, 3] * 3
    # Each variable at its own class is the reconstruction itself.
    expected = as_pixels(model.reconstruct(images.test_images[:1]))[0].astype(int)
    assert len(own) == 3
    for picture in grids.pixels_of(own).astype(int):
        assert np.abs(picture - expected).max() <= 1


def test_a_gaussian_latent_goes_through_the_prior(images, models):
    frame = reconstructions.traversal_numbers(models["VAE"], images.test_images[0], np.array([1.0, 3.0, 2.0]), most=2)

    assert list(dict.fromkeys(frame["latent"])) == [1, 2]
    assert frame["value"].iloc[[0, 10]].tolist() == [-3, 3]
    assert frame.groupby("latent")["is_own"].sum().tolist() == [1, 1]
    own = models["VAE"].encode(images.test_images[:1])[0]
    marked = frame[frame["is_own"]].set_index("latent")["value"]
    assert np.abs(marked - np.clip(own[marked.index], -3, 3)).max() <= 0.3 + 1e-6


def test_a_moved_latent_moves_the_image_through_the_stn(study, images):
    model = trained(study, "vae", "pretrained")
    frame = reconstructions.traversal_numbers(model, images.test_images[0], np.ones(3))

    assert len(np.unique(grids.pixels_of(frame), axis=0)) > 3


@pytest.mark.parametrize(("categories", "expected"), [(None, [0, 1, 4, 0]), (2, [1, 4])])
def test_activity_is_the_variance_between_images(categories, expected):
    encodings = np.array([[0, 0, 0, 7], [0, 2, 4, 7]])

    assert reconstructions.latent_activity(encodings, categories) == pytest.approx(expected)


def test_the_images_own_value_is_framed(images, models):
    frame = reconstructions.traversal_numbers(models["categorical VAE"], images.test_images[0], np.ones(3))
    ax = reconstructions.draw_traversal(Figure().subplots(), frame)

    assert len(ax.lines) == 3
    assert [text.get_text() for text in ax.get_yticklabels()] == ["variable 0", "variable 1", "variable 2"]


def test_a_study_gives_a_traversal_for_each_model(study, images):
    assert [figure.name for figure in reconstructions.drawn(Sources(study, images))] == [
        *("reconstructions", "prior_samples", "traversal_vae", "traversal_categorical_vae")
    ]


def test_without_encodings_there_is_no_traversal(results, images, tmp_path):
    shutil.copytree(results, tmp_path / "small")
    for path in (tmp_path / "small").glob("trials/*/encodings.pt"):
        path.unlink()
    drawn = reconstructions.drawn(Sources(analysis.load(tmp_path / "small"), images))
    assert [figure.name for figure in drawn] == ["reconstructions", "prior_samples"]


def test_trials_without_weights_are_reported(study, images, tmp_path):
    copy = type(study)(study.trials, study.epochs, {"small": tmp_path})

    with pytest.raises(NotSupported, match="has no folder"):
        reconstructions.drawn(Sources(copy, images))


def test_what_tanh_keeps_from_an_image_is_said(images, study):
    first = reconstructions.drawn(Sources(study, images))[0]
    # 0.2860 + 1 x 0.3530 of white, which stands at (1 - 0.2860) / 0.3530.
    assert "no pixel above 1 of the 2.02 standard deviations of white, 64 % of white" in first.caption
    trials = study.trials.assign(output_activation=["tanh", "linear"] * (len(study.trials) // 2))
    chosen = reconstructions._chosen(Study(trials, study.epochs, study.folders))
    assert [name.rpartition(", ")[2] for name in chosen] == ["tanh output"] * 2 + ["linear output"] * 2
    linear = SimpleNamespace(config=SimpleNamespace(output_activation="linear"))
    assert reconstructions._brightest({"VAE": linear}) == ""


def test_a_trial_shows_its_reconstructions(images, study, monkeypatch):
    monkeypatch.setattr(Sources, "images", lambda self, config: images)
    figure = study.best().reconstructions()
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        *("base", "reconstruction", "augmented", "reconstruction")
    ]


def test_a_model_without_a_decoder_is_left_out(images, tmp_path):
    """Of joint embeddings nothing can be reconstructed, and they have no losses of images either."""
    settings = {"train_dataset": "augmented", "epochs": 1, "batch_size": 50, "hidden_widths": (8,), "latent_dim": 3}
    record = stages.run_trial(TrialConfig(model="vicreg", **settings), images, "cpu", tmp_path, measures="none")
    assert record["status"] == "finished", record["error"]
    alone = analysis.load(tmp_path)
    with pytest.raises(NotSupported, match="VICReg, trained on augmented, no STN has no decoder"):
        reconstructions.drawn(Sources(alone, images))
    with pytest.raises(NotSupported, match="no finished or running trial has an epoch"):
        learning_curves.numbers(alone)
