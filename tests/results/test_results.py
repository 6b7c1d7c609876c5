"""Results of each recipe, as its code left them, are read, used and continued.

Each folder holds a finished VAE, a finished categorical VAE behind an STN, a failed trial, and one that was interrupted
after 2 of 4 epochs.
"""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

import analysis
import tivae
from tests.damage import contents
from tivae import stages
from tivae.config import RECIPE
from tivae.stages import Wanted, Workspace

FOLDERS = {1: Path(__file__).parent / "recipe_1", 2: Path(__file__).parent / "recipe_2"}
NONE = Wanted(measures="none")


@pytest.fixture(params=FOLDERS)
def recipe(request):
    return request.param


@pytest.fixture
def study(recipe):
    return analysis.load(FOLDERS[recipe], running=True)


@pytest.fixture
def present(tmp_path):
    """A copy of the present recipe's results, which may be written to."""
    return Path(shutil.copytree(FOLDERS[RECIPE], tmp_path / "study"))


def test_there_is_a_folder_of_each_recipe():
    assert list(FOLDERS) == list(range(1, RECIPE + 1))


def test_trials_and_epochs_are_read(study, recipe):
    trials = study.trials.set_index("seed").sort_index()
    assert trials["status"].tolist() == ["finished", "finished", "failed", "running"]
    assert set(trials["recipe"]) == {recipe}
    # Of recipe 1 a running trial left its epochs and no config.
    known = trials.dropna(subset="model")
    assert len(known) == (3 if recipe == 1 else 4)
    assert known["model"].tolist()[:3] == ["vae", "categorical_vae", "vae"]
    assert known["stn"].tolist()[:3] == ["none", "pretrained", "none"]
    assert trials["base_accuracy"].notna().tolist() == [True, True, False, False]
    assert trials["error"][2].startswith("NonFiniteLoss: the training loss is nan at step 1")
    with_epochs = study.trials["key"][study.trials["status"] != "failed"]
    assert study.epochs.groupby("key")["epoch"].apply(list).to_dict() == {key: [1, 2] for key in with_epochs}
    expected = {0: 2, 1: 2, 2: 2} | ({} if recipe == 1 else {3: 4})
    assert {config.seed: config.epochs for config in study.configs.values()} == expected


def test_models_predictions_and_measures_are_read(study, host):
    for key in study.finished["key"]:
        trial = study.trial(key)
        model = tivae.load(trial.folder)
        assert model.config == trial.config == study.configs[key]
        encoded = model.encode(host.test_images[:100])
        np.testing.assert_allclose(encoded, trial.encodings("base"), rtol=1e-4, atol=1e-4)
        predictions = trial.predictions()
        assert (predictions["base"] == predictions["label"]).mean() == pytest.approx(trial.row["base_accuracy"])
        assert trial.record["metrics"]["base_accuracy"] == trial.row["base_accuracy"]
        assert trial.row["prediction_consistency"] > 0


def test_finished_trials_of_the_present_recipe_are_not_computed_again(present, host):
    study = analysis.load(present)
    before = contents(present)
    epochs = []
    for key in study.finished["key"]:
        (record,) = stages.run_trials([study.configs[key]], Workspace(host, "cpu", present), epochs.append, wanted=NONE)
        assert record["key"] == key == study.configs[key].key
    assert epochs == []
    assert contents(present) == before


@pytest.mark.parametrize("seed", [0, 1])
def test_trainings_of_the_present_recipe_are_read_out_again_and_gone_on_with(present, host, seed):
    """Trained by this very code they would be the same: on this machine or another, to rounding."""
    (config,) = (config for config in analysis.load(present).configs.values() if config.seed == seed)
    configs = [dataclasses.replace(config, probe="linear_svm"), dataclasses.replace(config, epochs=3)]
    epochs = []
    found = stages.run_trials(configs, Workspace(host, "cpu", present), epochs.append, wanted=NONE)
    assert [record["status"] for record in found] == ["finished", "finished"]
    assert [row["epoch"] for row in epochs] == [3]
    alone = stages.run_trials(configs[1:], Workspace(host, "cpu", present.parent / "alone"), wanted=NONE)[0]
    assert found[1]["metrics"]["train_loss"] == pytest.approx(alone["metrics"]["train_loss"], rel=1e-3)


def test_an_interrupted_trial_of_the_present_recipe_continues(present, host):
    (config,) = (config for config in analysis.load(present, running=True).configs.values() if config.seed == 3)
    epochs = []
    (record,) = stages.run_trials([config], Workspace(host, "cpu", present), epochs.append, wanted=NONE)
    assert (record["status"], record["provenance"]["resumed"]) == ("finished", 1)
    assert [row["epoch"] for row in epochs] == [3, 4]
