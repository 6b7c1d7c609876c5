"""What is published is enough to make every table and verdict again."""

import json

import pytest

import analysis
from analysis import publish, tables
from tests.small import small
from tivae import records, stages


@pytest.fixture(scope="module")
def results(host, tmp_path_factory):
    """A small real study with a failed trial, and a picture in its report."""
    folder = tmp_path_factory.mktemp("results") / "tiny"
    for seed in (0, 1):
        for model in ("vae", "categorical_vae"):
            stages.run_trial(small(model=model, seed=seed, epochs=1), host, "cpu", folder, measures="none")
    records.write_unfinished(small(seed=2, epochs=1), "failed", folder, "its worker died")
    (folder / "reprobe").mkdir()
    (folder / "reprobe" / "stn_bypassed.csv").write_text(
        "key,error,probe,probe_features,probe_stn,probe_fit,probe_regularisation\n"
    )
    (folder / "report" / "figures").mkdir(parents=True)
    (folder / "report" / "figures" / "picture.png").write_bytes(b"a picture")
    return folder


@pytest.fixture
def published(results, tmp_path):
    return publish.publish(results, "uv run python -m study.run tiny", ["picture"], tmp_path / "tiny")


def test_tables_and_verdicts_are_those_of_the_results(results, published):
    expected, skipped = tables.all_of(analysis.load(results))
    made, skipped_too = tables.all_of(analysis.load(published))
    assert {table.name: table.table.markdown() for table in made} == {
        table.name: table.table.markdown() for table in expected
    }
    assert skipped_too == skipped
    for table in expected:
        assert (published / "tables" / f"{table.name}.md").read_text() == table.table.markdown()


def test_predictions_are_there_and_weights_and_names_of_machines_are_not(results, published):
    mine, theirs = analysis.load(results), analysis.load(published)
    for key in mine.finished["key"]:
        assert mine.trial(key).predictions().equals(theirs.trial(key).predictions())
    names = {path.name for path in published.rglob("*") if path.is_file()}
    assert not names & {"model.pt", "stn.pt", "encodings.pt"}
    host = mine.trials["host"].iloc[0]
    assert host
    assert all(host.encode() not in path.read_bytes() for path in published.rglob("*") if path.is_file())


def test_it_says_how_the_study_was_made(results, published):
    about = json.loads((published / "about.json").read_text())
    assert about["command"] == "uv run python -m study.run tiny"
    assert about["trials"] == 5
    assert about["device"] == ["cpu"]
    assert (published / "figures" / "picture.png").read_bytes() == b"a picture"
    assert (published / "reprobe" / "stn_bypassed.csv").exists()


def test_publishing_again_replaces_the_copy(results, published):
    (published / "old").write_text("")
    publish.publish(results, "again", [], published)
    assert not (published / "old").exists()
    assert json.loads((published / "about.json").read_text())["command"] == "again"
    assert [path.name for path in published.parent.iterdir()] == ["tiny"]


def test_what_is_too_large_or_missing_is_refused_and_the_old_copy_stays(results, published, monkeypatch, capsys):
    with pytest.raises(ValueError, match=r"other\.png is not there; run `python -m analysis\.report"):
        publish.publish(results, "x", ["other"], published)
    monkeypatch.setattr(publish, "MAXIMUM_BYTES", 1000)
    assert publish.main([str(results), "--command", "x", "--output", str(published)]) == 2
    assert capsys.readouterr().err.startswith("error: the copy would have 0.")
    assert publish.main([str(results.parent / "nothing"), "--command", "x"]) == 2
    assert json.loads((published / "about.json").read_text())["command"] == "uv run python -m study.run tiny"
    assert [path.name for path in published.parent.iterdir()] == ["tiny"]
