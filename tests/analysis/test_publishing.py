"""What stands beside a published study's records: cost, model cards, checklists, citation, crate and test set."""

import io
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

import analysis
from analysis import publish, verify
from analysis.frames.study import Study
from analysis.publishing import cards, checklists, citation, cost, crate, study_sentences, test_set
from tests.analysis.synthetic import record, write_record, write_study
from tests.small import small
from tests.waiting import HANG_SECONDS
from tivae import stages
from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.loading import load as load_images
from tivae.io import checkpoint, packed

GRID = publish.FOLDER / "paper_grid"


@pytest.fixture(scope="module")
def results(host, tmp_path_factory):
    """Two epochs of one training, read out by two probes, before and behind an STN that is pretrained once."""
    folder = tmp_path_factory.mktemp("results") / "tiny"
    for stn in ("none", "pretrained"):
        for epochs in (1, 2):
            for probe_fit in ("matched", "both"):
                config = small(epochs=epochs, stn=stn, probe_fit=probe_fit, stn_epochs=2)
                stages.run_trial(config, host, "cpu", folder, measures="none")
    return folder


@pytest.fixture(scope="module")
def copy(results, tmp_path_factory):
    return publish.publish(results, "uv run python -m study.run tiny", [], tmp_path_factory.mktemp("copies") / "tiny")


def test_the_cost_counts_each_training_and_stn_once_and_alone_as_often_as_it_is_asked_for(results, copy):
    for folder in (results, copy):
        found = cost.frame([analysis.load(folder)]).iloc[0]
        assert (found["trials"], found["asked"], found["run"]) == (8, 8, 2)
        assert (found["stns_asked"], found["stns_run"]) == (4, 1)
    study = analysis.load(copy)
    epochs = study.epochs.groupby("key")["wall_seconds"].sum()
    training = study.trials["key"].map(epochs)
    readouts = (study.trials["wall_seconds"] - training).sum()
    (stn,) = (json.loads(path.read_text()) for path in copy.glob("stns/*/record.json"))
    stn_seconds = stn["provenance"]["wall_seconds"]
    assert stn["provenance"]["host"] == ""
    longest = training.groupby(study.trials["training_key"]).max().sum()
    assert found["hours"] * 3600 == pytest.approx(readouts + longest + stn_seconds)
    assert found["hours_alone"] * 3600 == pytest.approx(readouts + training.sum() + 4 * stn_seconds)
    assert found["hours_alone"] > found["hours"]


def test_what_several_studies_share_costs_once_in_all(copy, tmp_path):
    shutil.copytree(copy, tmp_path / "tiny")
    studies = [analysis.load(copy), analysis.load(tmp_path / "tiny")]
    found = cost.frame(studies)
    assert list(found.index) == ["tiny", "tiny", "all"]
    assert found.drop_duplicates().shape == (1, len(cost.COLUMNS))
    text = cost.table(studies).markdown()
    assert "| all | 8 | 8 | 2 | 4 | 1 |" in text


def test_hours_on_other_devices_are_not_called_those_of_a_cpu(copy):
    study = analysis.load(copy)
    assert "CPU hours" in cost.markdown(study)
    other = Study(study.trials.assign(device="cuda"), study.epochs, study.folders)
    for text in (cost.markdown(other), checklists.of(other, "x")):
        assert "device hours" in text
        assert "CPU hours" not in text


def test_of_records_of_before_stages_each_trial_is_a_training():
    found = cost.frame([analysis.load(GRID)]).iloc[0]
    assert found["run"] == found["asked"] == found["trials"]
    assert found["hours"] == pytest.approx(found["hours_alone"])
    assert "-: pretrained before STNs were published" in (GRID / "compute.md").read_text()


def test_a_trial_that_was_pruned_is_paid_for_its_epochs(host, tmp_path):
    from tivae import records

    stages.run_trial(small(epochs=1), host, "cpu", tmp_path / "tiny", measures="none")
    records.write_unfinished(small(epochs=2), tmp_path / "tiny", "pruned")
    study = analysis.load(tmp_path / "tiny")
    found = cost.frame([study]).iloc[0]
    assert found["trials"] == 2
    # Both are of one training, of which one epoch was done.
    assert found["run"] == 1


def test_compute_says_where_and_with_what_each_trial_was_made(copy):
    text = (copy / "compute.md").read_text()
    trials = analysis.load(copy).trials
    for name in ("device", "device_name", "kernels", "torch"):
        assert formats_escaped(str(trials[name].iloc[0])) in text
    assert {"device", "device_name", "kernels", "threads", "torch"} <= set(pd.read_csv(copy / "trials.csv").columns)


def formats_escaped(text):
    from analysis.formats import markdown_escape

    return markdown_escape(text)


def test_a_model_card_is_of_the_best_cell_and_names_the_command_that_makes_it_again():
    study = analysis.load(GRID)
    made = cards.of(study)
    assert {path.name for path in made} == {"vae.md", "categorical_vae.md"}
    text = made[cards.Path(cards.FOLDER) / "categorical_vae.md"]
    head = yaml.safe_load(text.split("---\n")[1])
    best = study.cells(["augmented_accuracy"]).query("model == 'categorical_vae'")["augmented_accuracy"].max()
    values = {metric["name"]: metric["value"] for metric in head["model-index"][0]["results"][0]["metrics"]}
    assert values["augmented_accuracy"] == round(best, 4)
    assert "by the test images themselves" in text
    assert "    uv run python -m study.run paper_grid --set model=categorical_vae" in text
    assert head["model-index"][0]["results"][0]["task"]["name"] == "logistic regression of the encodings"
    assert "whose encodings a linear classifier reads" in text
    by_others = cards.of(Study(study.trials.assign(probe="k_nearest"), study.epochs, study.folders))
    text = by_others[cards.Path(cards.FOLDER) / "vae.md"]
    assert "name: k nearest neighbours of the encodings" in text
    assert "whose encodings a classifier (k nearest neighbours) reads" in text
    searched = cards.of(analysis.load(publish.FOLDER / "optuna_latent"))
    assert all("held-out validation images" in text for text in searched.values())


def test_other_probes_beside_them_do_not_move_the_sentences_on_the_grid():
    study = analysis.load(GRID)
    worse = {f"{test}_accuracy": study.trials[f"{test}_accuracy"] - 0.05 for test in ("base", "augmented")}
    worse["augmented_accuracy_fit_base"] = study.trials["augmented_accuracy_fit_base"] - 0.2
    others = study.trials.assign(probe="linear_svm", key="x" + study.trials["key"].str[1:], **worse)
    mixed = Study(pd.concat([study.trials, others], ignore_index=True), study.epochs, study.folders)
    alone, beside = (list(study_sentences.OF_STUDY["paper_grid"](one)) for one in (study, mixed))
    assert len(alone) > 5
    assert beside == alone


def test_controls_have_no_card():
    made = cards.of(analysis.load(publish.FOLDER / "invariance"))
    trained = {"vae", "categorical_vae", "spatial_vae", "aeae", "aet", "vicreg", "barlow_twins", "supervised"}
    assert {path.stem for path in made} == trained


def test_checklists_hold_the_seeds_hours_and_settings_of_the_records():
    study = analysis.load(GRID)
    text = checklists.of(study, "uv run python -m study.run paper_grid --seeds 3")
    hours = cost.frame([study]).iloc[0]["hours"]
    assert f"{hours:.1f} CPU hours for 24 trials (24 trainings)" in text
    assert "Yes: 3 seeds; 95 % intervals over seeds and test images" in text
    assert "60,000 training and 10,000 test images, 10 classes" in text
    assert "20 epochs, batches of 64, learning rate 0.001" in text
    one = checklists.of(analysis.load(publish.FOLDER / "kl_weight"), "x")
    assert "In part: one seed" in one
    assert "By validation images held out" in checklists.of(analysis.load(publish.FOLDER / "optuna_latent"), "x")
    assert "pca, pixels, untrained" in checklists.of(analysis.load(publish.FOLDER / "invariance"), "x")
    varied = checklists.of(analysis.load(publish.FOLDER / "paper_reading"), "x")
    assert "the same for every trial." in text
    assert "the same for every trial of the same data set and warps." in varied
    assert "by the data set's mean and std." in text
    assert "by the data set's mean and std or a std of 0.3205." in varied
    for items in (checklists.NEURIPS, checklists.REFORMS):
        assert all(re.search(rf"^\| {number} \| ", text, re.MULTILINE) for number, _, _ in items)


def test_checklists_are_there_whatever_the_trials_are(tmp_path):
    study = analysis.load(GRID)
    first = study.trials["key"] == study.trials["key"].iloc[0]
    strange = study.trials["model"].mask(first, "somewhere:Model")
    held_out = {"validation_images": 10_000, "validation_augmented_accuracy": 0.7}
    some = {name: pd.Series(value, first.index).where(first) for name, value in held_out.items()}
    text = checklists.of(Study(study.trials.assign(model=strange, **some), study.epochs, study.folders), "x")
    assert "somewhere:Model" in text
    # Not all have validation images, by which cells would be chosen.
    assert "A best cell is named by its test accuracy." in text
    write_record(tmp_path / "failed", record(TrialConfig(), "failed", "no memory"))
    assert "No: no trial has finished." in checklists.of(analysis.load(tmp_path / "failed"), "x")


def test_the_citation_is_of_a_data_set_and_names_software_and_paper(copy):
    content = yaml.safe_load((copy / "CITATION.cff").read_text())
    software = yaml.safe_load((citation.ROOT / "CITATION.cff").read_text())
    # What CFF 1.2.0 requires.
    assert {"cff-version", "message", "title", "authors"} <= set(content)
    assert content["type"] == "dataset"
    assert content["license"] == software["license"]
    assert [reference["title"] for reference in content["references"]] == [
        software["title"],
        software["references"][0]["title"],
    ]
    assert "&" not in (copy / "CITATION.cff").read_text()


def test_the_crate_describes_each_file_and_no_other(copy):
    content = json.loads((copy / crate.NAME).read_text())
    entities = {entity["@id"]: entity for entity in content["@graph"]}
    assert len(entities) == len(content["@graph"])
    # The musts of RO-Crate 1.1: the descriptor, and of the root its type, name, description, date and licence.
    descriptor = entities["ro-crate-metadata.json"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["conformsTo"]["@id"].startswith("https://w3id.org/ro/crate/1.1")
    root = entities[descriptor["about"]["@id"]]
    assert root["@type"] == "Dataset"
    assert all(root[name] for name in ("name", "description", "datePublished", "license"))
    files = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()} - {crate.NAME}
    assert {part["@id"] for part in root["hasPart"]} == files
    assert {entity["@id"] for entity in entities.values() if entity["@type"] == "File"} == files
    # Whatever is pointed at is there.
    assert {pointed for pointed in _pointed(content["@graph"]) if "ro/crate" not in pointed} <= set(entities)


def _pointed(value):
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for item in value.values():
            yield from _pointed(item)
    elif isinstance(value, list):
        for item in value:
            yield from _pointed(item)


def test_predictions_take_half_a_byte_and_labels_are_there_once(results, copy):
    mine, theirs = analysis.load(results), analysis.load(copy)
    for key in mine.finished["key"]:
        assert mine.trial(key).predictions().equals(theirs.trial(key).predictions())
    assert len(checkpoint.load(copy / packed.LABELS)) == 1
    (copy / packed.LABELS).rename(copy / "away.pt")
    try:
        with pytest.raises(ValueError, match=r"predictions\.pt does not hold labels"):
            theirs.trial(mine.finished["key"].iloc[0]).predictions()
    finally:
        (copy / "away.pt").rename(copy / packed.LABELS)


@pytest.mark.parametrize("count", [1, 100, 101])
@pytest.mark.parametrize("classes", [10, 16, 17, 256])
def test_packing_is_undone(count, classes, tmp_path):
    source = torch.Generator().manual_seed(count)
    content = {name: torch.randint(0, classes, (count,), generator=source) for name in ("labels", "base", "augmented")}
    content["base"][0] = classes - 1
    stored, labels = packed.pack(content)
    assert bool(labels) == (classes <= 16)
    checkpoint.save(tmp_path / packed.LABELS, labels)
    found = packed.unpacked(stored, tmp_path)
    assert all((found[name].long() == content[name]).all() for name in content)


def test_the_copies_beside_each_other_are_bounded_together(results, tmp_path, monkeypatch):
    first = publish.publish(results, "x", [], tmp_path / "one")
    monkeypatch.setattr(publish, "MAXIMUM_BYTES", int(1.5 * publish._size(first)))
    with pytest.raises(ValueError, match=r"MiB of others; together they may have"):
        publish.publish(results, "x", [], tmp_path / "two")
    assert not (tmp_path / "two").exists()
    # In its own place it counts once.
    publish.publish(results, "again", [], tmp_path / "one")


def test_the_published_test_set_is_that_of_the_trials(host):
    folder = publish.FOLDER / test_set.FOLDER
    table = pd.read_parquet(folder / test_set.TABLE)
    assert list(table.columns) == [name for name, _, _ in test_set.COLUMNS]
    assert (table["label"] == host.test_labels).all()
    config = TrialConfig()
    data = TrialData(host, config, "cpu")
    expected = torch.cat([config.standardisation.pixels(batch) for batch in data.augmented_test().batches(1000)])
    images = np.stack([np.asarray(Image.open(io.BytesIO(image))) for image in table["image"]])
    # Rounded to whole grey values; a value half way between two may go either way on another machine.
    assert np.abs(images - 255 * expected.numpy().reshape(images.shape)).max() < 0.5 + 1e-3
    warped = table[["rotation_degrees", "shift_x_pixels", "shift_y_pixels", "scale"]]
    assert (warped.abs().max() <= [10, 4, 4, 1.2]).all()


def test_its_metadata_describe_it():
    folder = publish.FOLDER / test_set.FOLDER
    content = json.loads((folder / test_set.METADATA).read_text())
    (file,) = content["distribution"]
    data = (folder / file["contentUrl"]).read_bytes()
    assert content == test_set.croissant(TrialConfig(), data)
    (records,) = content["recordSet"]
    names = {field["source"]["extract"]["column"] for field in records["field"]}
    assert names == set(pd.read_parquet(folder / test_set.TABLE).columns)
    assert (folder / test_set.README).read_text() == test_set.readme(TrialConfig())


def test_a_test_set_of_unknown_licence_or_in_the_place_of_something_else_is_refused(host, results, tmp_path, capsys):
    with pytest.raises(ValueError, match=r"of kmnist can't be published: only of fashion_mnist"):
        test_set.write(TrialConfig(dataset="kmnist"), host, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / test_set.FOLDER).mkdir()
    (tmp_path / test_set.FOLDER / "thesis.tex").write_text("years of work")
    assert publish.main([str(results), "--command", "x", "--output", str(tmp_path / "tiny"), "--test-set"]) == 2
    assert "exists and was not written by publish; move it away first" in capsys.readouterr().err
    assert (tmp_path / test_set.FOLDER / "thesis.tex").read_text() == "years of work"


def test_of_own_images_the_file_is_named_and_not_where_it_lay(host, tmp_path, capsys):
    private = tmp_path / "home" / "somebody"
    private.mkdir(parents=True)
    images = {"train_images": host.train_images[:200], "train_labels": host.train_labels[:200]}
    images |= {"test_images": host.test_images[:100], "test_labels": host.test_labels[:100]}
    np.savez(private / "cells.npz", **images)
    config = small(dataset=str(private / "cells.npz"), epochs=1, stn="pretrained", stn_epochs=1)
    own = load_images(config.images)
    write_study(tmp_path / "both", [config, TrialConfig()])
    text = checklists.of(analysis.load(tmp_path / "both"), "x")
    assert all(digest in text for digest in (str(config.images.sha256), TrialConfig().images.files[0].digest))
    stages.run_trial(config, own, "cpu", tmp_path / "results" / "tiny", measures="none")
    made = publish.publish(tmp_path / "results" / "tiny", "uv run", [], tmp_path / "tiny")
    assert not [path for path in made.rglob("*") if path.is_file() and b"somebody" in path.read_bytes()]
    assert "--set dataset=cells.npz" in (made / "model_cards" / "vae.md").read_text()
    assert "dataset_facts" not in (made / "tables" / "table1.md").read_text()
    assert verify.main([str(made), "--retrain", "1", "--data", str(private)]) == 0
    assert "trained again\n" in capsys.readouterr().out


_VALIDATE = """
import json, sys
import mlcroissant
from rocrate.rocrate import ROCrate
crate = ROCrate(sys.argv[1])
assert len(crate.data_entities) > 10
images = mlcroissant.Dataset(jsonld=sys.argv[2]).records("images")
print(next(iter(images))["images/label"], crate.datePublished)
"""


@pytest.mark.slow
def test_crate_and_metadata_are_read_by_the_libraries_of_their_makers():
    """With mlcroissant and rocrate, which only this test needs, from the package index."""
    tools = ["uv", "run", "--no-project", "--isolated", "--with", "mlcroissant,pyarrow,pillow,rocrate"]
    metadata = publish.FOLDER / test_set.FOLDER / test_set.METADATA
    command = [*tools, "python", "-c", _VALIDATE, str(GRID), str(metadata)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("9 ")
