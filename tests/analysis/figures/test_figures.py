"""All figures of a study, whatever state it is in."""

import itertools
import shutil

import pandas as pd
import pytest

import analysis
from analysis import figures
from analysis.figures import latent_space
from analysis.figures.drawing import representatives, sources
from tests.analysis.figures.conftest import SMALL
from tests.analysis.synthetic import study_of
from tivae import records, stages
from tivae.config import TrialConfig

NAMES_OF_A_FULL_STUDY = [
    *("accuracy_by_cell", "stn_gain", "effects", "warp_curves", "learning_curves", "confusion"),
    *("misclassified_base", "misclassified_augmented", "latent_space_vae", "latent_space_categorical_vae"),
    *("reconstructions", "prior_samples", "traversal_vae", "traversal_categorical_vae"),
    *("stn_images", "stn_known_warps", "stn_error", "samples"),
]


def full_names(study):
    """Those names; an image set on which the best cell's probe makes no mistake has none to show."""
    best = representatives.best_cell(study)[0]
    classes = best.predictions()
    right = {name for name in ("base", "augmented") if (classes[name] == classes["label"]).all()}
    return [name for name in NAMES_OF_A_FULL_STUDY if name.removeprefix("misclassified_") not in right]


NEED_FILES = ("confusion", "misclassified", "latent_space", "reconstructions", "stn_images")


@pytest.fixture(autouse=True)
def _few_points(monkeypatch):
    monkeypatch.setattr(latent_space, "SHOWN_IMAGES", 20)


def test_a_study_of_one_seed_has_every_figure_it_supports(study, images, tmp_path):
    written, skipped = figures.write_all(study, tmp_path, data=images)

    assert [figure.name for figure in written] == full_names(study)
    assert set(skipped) == {"invariance_map", "sweeps", "pareto_front", "optuna_plots"}
    for figure in written:
        assert all(path.stat().st_size > 1000 for path in figure.paths.values()), figure.name
        assert len(pd.read_csv(figure.data_path)), figure.name
        assert figure.title
        assert "1 seed; 60,000 training images" in figure.caption
        # What is seen, in numbers: not the caption again.
        assert figure.alt not in (figure.title, f"{figure.title}. {figure.caption}"), figure.name
        assert any(letter.isdigit() for letter in figure.alt), figure.name
    assert len(list(tmp_path.iterdir())) == 2 * len(written) + sum("dark" in figure.paths for figure in written)


def test_failures_only_give_reasons_only(images, tmp_path):
    records.write_unfinished(TrialConfig(**SMALL), tmp_path / "study", "failed", "RuntimeError: no memory")
    written, skipped = figures.write_all(analysis.load(tmp_path / "study"), tmp_path / "figures", data=images)

    assert len(written) == 0
    assert set(skipped) == set(figures.ALL)
    assert all(skipped.values())
    assert not (tmp_path / "figures").exists()


def test_one_trial_is_enough_for_most(study, images, tmp_path, monkeypatch):
    monkeypatch.setattr(figures.saving, "FORMATS", {})  # which pictures there are; how they look, the study's show
    written, skipped = figures.write_all(study.where(model="vae", stn="none"), tmp_path, data=images)

    assert set(skipped) == {
        "invariance_map",
        "stn_gain",
        "effects",
        "sweeps",
        "stn_images",
        "pareto_front",
        "optuna_plots",
    }
    assert len(written) == 11


class Halted(BaseException):
    """As Ctrl-C."""


def test_a_half_finished_study_shows_what_there_is(results, images, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(results, folder)
    config = TrialConfig(train_dataset="augmented", **SMALL | {"epochs": 3})

    def stop(row):
        if row["epoch"] == 2:
            raise Halted

    with pytest.raises(Halted):
        stages.run_trial(config, images, "cpu", folder, on_epoch=stop)
    study = analysis.load(folder, running=True)
    # Those that read trials one by one, or count them.
    names = ["accuracy_by_cell", "effects", "learning_curves", "reconstructions"]
    written, _ = figures.write_all(study, tmp_path / "figures", data=images, names=names)
    names[-1:] = ["reconstructions", "prior_samples", "traversal_vae", "traversal_categorical_vae"]

    assert set(study.trials["status"]) == {"finished", "running"}
    assert [figure.name for figure in written] == names
    assert "4 of 5 trials have finished (1 running)." in written[0].caption


def test_a_thousand_trials_without_their_files(images, tmp_path):
    configs = [
        TrialConfig(train_dataset=train, model=model, latent_dim=size, kl_weight=weight, seed=seed, epochs=1)
        for train, model, size, weight, seed in itertools.product(
            ("base", "augmented"), ("vae", "categorical_vae"), (2, 5, 10, 20, 50), (0, 1e-4, 1e-3, 1e-2, 0.1), range(10)
        )
    ]
    study = study_of(tmp_path / "study", configs, lambda *_: {})
    written, skipped = figures.write_all(study, tmp_path / "figures", data=images)

    assert len(study) == 1000
    assert [figure.name for figure in written] == [
        *(
            "accuracy_by_cell",
            "effects",
            "accuracy_by_latent_size",
            "accuracy_by_kl_weight",
            "learning_curves",
            "samples",
        )
    ]
    assert "24 of 100" in written[0].caption
    assert set(NEED_FILES) <= set(skipped)
    assert "no predictions.pt" in skipped["confusion"]


def test_a_quick_run_is_marked_on_the_picture(results, tmp_path, monkeypatch):
    folder = tmp_path / "small-quick"
    shutil.copytree(results, folder)
    titles = []
    monkeypatch.setattr(figures.style, "write_title", lambda figure, title: titles.append(title))
    figures.write_all(analysis.load(folder), tmp_path / "figures", names=["accuracy_by_cell"])

    assert titles == ["Accuracy by cell (n = 1 seed); quick run: not meaningful"]


def test_images_that_are_not_here_are_a_reason(study, tmp_path, monkeypatch):
    monkeypatch.setenv("TIVAE_DATA", str(tmp_path))
    sources._local_images.cache_clear()
    _, skipped = figures.write_all(study, tmp_path / "figures", names=["samples"])

    assert skipped["samples"].startswith(f"{tmp_path} holds no train-images")


def test_an_unknown_figure_is_refused(study, tmp_path):
    with pytest.raises(ValueError, match="`figure_2` is not a figure; it must be one of accuracy_by_cell"):
        figures.write_all(study, tmp_path, names=["figure_2"])
