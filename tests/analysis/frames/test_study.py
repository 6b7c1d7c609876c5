"""Filters, factors, cells and pivots of a study, and what its trials hold."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import analysis
from analysis import Study
from tests.analysis.synthetic import grid, record, study_of, write_record, write_study
from tivae.config import TrialConfig
from tivae.io import checkpoint
from tivae.models import build

LABELS = torch.tensor([3, 0, 9, 9, 1])


@pytest.fixture
def study(tmp_path: Path) -> Study:
    configs = [*grid(seeds=2, epochs=1), *(TrialConfig(latent_dim=size, epochs=1) for size in (5, 20))]
    results = write_study(tmp_path / "grid", configs)
    write_record(results, record(TrialConfig(seed=5, epochs=1), status="failed", error="out of memory"))
    write_record(results, b"{", key="d" * 12)
    return analysis.load(results)


def test_its_text_says_what_is_in_it(study: Study) -> None:
    assert repr(study) == "<Study grid: 20 trials (18 finished, 1 failed, 1 damaged), 19 epochs>"


def test_where_filters_trials_and_epochs_alike(study: Study) -> None:
    part = study.where(model="vae", latent_dim=[5, 20], seed=range(3))
    assert part.trials["latent_dim"].tolist() == [5, 20]
    assert part.epochs["key"].tolist() == part.trials["key"].tolist()
    assert len(study.where(categories=None, status="finished")) == 10
    assert len(study.where(categories=[None, 10], status="finished")) == 18
    assert len(study.where(model="no such model")) == 0


def test_where_takes_any_list_and_keeps_the_folders_of_what_is_left(study: Study, tmp_path: Path) -> None:
    keys = study.finished["key"][:3]
    for given in (keys, pd.Index(keys), keys.to_numpy(), dict.fromkeys(keys)):
        assert len(study.where(key=given)) == 3
    both = analysis.load(study.folders["grid"], write_study(tmp_path / "other", [TrialConfig(latent_dim=7)]))
    assert list(both.where(study="grid").folders) == ["grid"]


def test_rows_of_a_pivot_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    configs = [TrialConfig(latent_dim=size) for size in (2, 10)] + [TrialConfig(model="categorical_vae", latent_dim=1)]
    study = study_of(tmp_path, configs)
    assert study.pivot("base_accuracy", "latent_dim", "model").index.tolist() == [1, 2, 10]  # noqa: PD010 - not pandas'


@pytest.mark.parametrize("call", ["where", "cells", "pivot"])
def test_an_unknown_column_is_refused_with_the_nearest(study: Study, call: str) -> None:
    with pytest.raises(ValueError, match="`latentdim` is not a column; did you mean `latent_dim`"):
        {
            "where": lambda: study.where(latentdim=5),
            "cells": lambda: study.cells(["latentdim"]),
            "pivot": lambda: study.pivot("base_accuracy", "latentdim", "model"),  # noqa: PD010 - not pandas'
        }[call]()


def test_factors_are_what_varies_and_not_what_follows_from_it(study: Study) -> None:
    assert study.factors() == ["train_dataset", "model", "stn", "latent_dim"]
    assert study.where(latent_dim=10).factors() == ["train_dataset", "model", "stn"]
    assert study.where(model="vae", stn="none", train_dataset="base").factors() == ["latent_dim"]


def test_cells_never_mix_settings(study: Study) -> None:
    cells = study.cells(["base_accuracy"])
    assert len(cells) == 10
    assert cells["trials"].sum() == 19  # the damaged record has no cell
    vae = cells[(cells["model"] == "vae") & (cells["train_dataset"] == "base") & (cells["stn"] == "none")]
    assert vae.sort_values("latent_dim")["finished"].tolist() == [1, 2, 1]
    seeds = study.finished[study.finished["key"].isin([TrialConfig(seed=s, epochs=1).key for s in (0, 1)])]
    ten = vae[vae["latent_dim"] == 10].iloc[0]
    assert ten["base_accuracy"] == pytest.approx(seeds["base_accuracy"].mean(), rel=1e-12)
    assert ten["base_accuracy_sd"] == pytest.approx(np.std(seeds["base_accuracy"], ddof=1), rel=1e-9)
    assert vae[vae["latent_dim"] != 10]["base_accuracy_sd"].isna().all()


def test_pivot_averages_over_the_rest(study: Study) -> None:
    table = study.where(latent_dim=10).pivot("augmented_accuracy", ["train_dataset", "stn"], "model")  # noqa: PD010 - not pandas'
    assert table.shape == (4, 2)
    part = study.where(latent_dim=10, train_dataset="base", stn="none", model="categorical_vae").finished
    expected = part["augmented_accuracy"].mean()
    assert table.loc[("base", "none"), "categorical_vae"] == pytest.approx(expected, rel=1e-12)
    assert study.pivot("base_loss", "categories", "model").shape == (2, 2)  # noqa: PD010 - missing is a value


def test_a_trial_is_found_by_its_key_or_its_beginning(study: Study) -> None:
    key = study.trials["key"][0]
    assert study.trial(key).key == key
    assert study.trial(key[:8]).key == key
    with pytest.raises(ValueError, match="`x` is not the key of one trial: none begins with it"):
        study.trial("x")
    with pytest.raises(ValueError, match="20 keys begin with it"):
        study.trial("")


def test_the_config_comes_back_as_it_was(tmp_path: Path) -> None:
    configs = [
        TrialConfig(),
        TrialConfig(model="categorical_vae", stn="pretrained", hidden_widths=(8, 16), temperature=0.7, epochs=1),
        TrialConfig(train_images=1000, whole_pixel_shifts=True, kl_weight=1 / 3, training_warps="fixed"),
    ]
    study = study_of(tmp_path, configs, lambda *_: {})
    for config in configs:
        assert study.trial(config.key).config == config


def test_a_damaged_trial_has_no_config(study: Study) -> None:
    with pytest.raises(ValueError, match="trial dddddddddddd has no config: its record is damaged"):
        study.trial("d" * 12).config  # noqa: B018


@pytest.fixture
def trial(tmp_path: Path) -> analysis.Trial:
    """A trial with untrained weights and made-up predictions."""
    config = TrialConfig(epochs=1)
    folder = write_record(tmp_path, record(config))
    checkpoint.save(folder / "predictions.pt", {"labels": LABELS, "base": LABELS, "augmented": LABELS.flip(0)})
    encodings = {"base": torch.arange(50.0).reshape(5, 10), "augmented": torch.zeros(5, 10)}
    checkpoint.save(folder / "encodings.pt", encodings)
    checkpoint.save(folder / "model.pt", build(config).state_dict())
    return analysis.load(tmp_path).trial(config.key)


def test_predictions_of_a_trial(trial: analysis.Trial) -> None:
    frame = trial.predictions()
    expected = {"image": range(5), "label": LABELS, "base": LABELS, "augmented": LABELS.flip(0)}
    pd.testing.assert_frame_equal(frame, pd.DataFrame({k: np.asarray(v) for k, v in expected.items()}, dtype="int64"))


def test_encodings_of_a_trial(trial: analysis.Trial) -> None:
    base = trial.encodings("base")
    assert isinstance(base, np.ndarray)
    assert base.dtype == np.float32
    np.testing.assert_array_equal(base, np.arange(50).reshape(5, 10))
    assert not trial.encodings("augmented").any()
    with pytest.raises(ValueError, match="`test_set` is 'train'; it must be base or augmented"):
        trial.encodings("train")


def test_the_model_of_a_trial_encodes(trial: analysis.Trial) -> None:
    assert trial.model().encode(np.zeros((3, 28, 28), np.uint8)).shape == (3, 10)


@pytest.mark.parametrize(("file", "call"), [("predictions", "predictions"), ("encodings", "encodings")])
def test_a_missing_or_damaged_file_is_one_clear_line(trial: analysis.Trial, file: str, call: str) -> None:
    path = trial.folder / f"{file}.pt"
    checkpoint.save(path, {"something": torch.zeros(1)})
    with pytest.raises(ValueError, match=rf"{file}\.pt does not hold"):
        getattr(trial, call)()
    path.write_bytes(b"garbage")
    with pytest.raises(ValueError, match=rf"{file}\.pt can't be read"):
        getattr(trial, call)()
    path.unlink()
    with pytest.raises(ValueError, match=rf"\(finished\) has no {file}\.pt in"):
        getattr(trial, call)()


def test_a_copy_may_have_frames_only(trial: analysis.Trial, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    analysis.write(analysis.load(tmp_path), copy)
    published = analysis.load(copy).trial(trial.key)
    assert published.config == trial.config
    for call in (published.predictions, published.encodings, published.model):
        with pytest.raises(ValueError, match="only the frames were copied"):
            call()
