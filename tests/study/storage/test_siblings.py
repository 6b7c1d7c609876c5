"""What a study beside this one has computed is not computed again."""

import dataclasses
import os

import pytest

from study.jobs import plan
from study.storage.siblings import adopt
from tests.small import small
from tivae import records, stages
from tivae.stages import Wanted, Workspace

NONE = Wanted(measures="none")
VAE = small(train_images=100, hidden_widths=(4,), stn="pretrained", stn_epochs=1)
PROBED = dataclasses.replace(VAE, probe="linear_svm")
LONGER = dataclasses.replace(VAE, epochs=3)


@pytest.fixture(scope="module")
def results(host, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    stages.run_trials([VAE], Workspace(host, "cpu", folder / "first"), wanted=NONE)
    return folder


@pytest.fixture
def study(results, request):
    folder = results / request.node.name.replace("[", "-").replace("]", "")
    folder.mkdir()
    return folder


def test_a_finished_trial_is_taken_whole(results, study):
    assert adopt(study, [VAE]) == [f"trials/{VAE.key}"]
    assert plan([VAE], study) == []
    assert records.read(study / "trials" / VAE.key) == records.read(results / "first" / "trials" / VAE.key)
    assert adopt(study, [VAE]) == []


@pytest.mark.parametrize("config", [PROBED, LONGER], ids=["probed", "longer"])
def test_other_readouts_and_more_epochs_continue_from_its_training_and_equal_those_alone(host, study, tmp_path, config):
    taken = adopt(study, [config])
    assert set(taken) == {f"trainings/{VAE.training_key}", f"stns/{VAE.stn_key}"}
    done = []
    (record,) = stages.run_trials([config], Workspace(host, "cpu", study), done.append, wanted=NONE)
    assert [row["epoch"] for row in done] == list(range(3, config.epochs + 1))
    (alone,) = stages.run_trials([config], Workspace(host, "cpu", tmp_path / "alone"), wanted=NONE)
    assert record["metrics"] == alone["metrics"]


def test_nothing_is_taken_through_a_link_or_over_what_is_here(results, study, tmp_path):
    mine = study / "stns" / VAE.stn_key
    mine.mkdir(parents=True)
    assert adopt(study, [dataclasses.replace(VAE, probe_fit="base")]) == [f"trainings/{VAE.training_key}"]
    assert list(mine.iterdir()) == []
    linked = tmp_path / "second"
    (linked / "trials").mkdir(parents=True)
    (linked / "trials" / VAE.key).mkdir()
    for file in (results / "first" / "trials" / VAE.key).iterdir():
        os.symlink(file, linked / "trials" / VAE.key / file.name)
    (tmp_path / "third").mkdir()
    assert adopt(tmp_path / "third", [VAE]) == []
