"""What is published is enough to make every table and verdict again."""

import json
import shutil

import pytest

import analysis
from analysis import publish, tables
from tests.damage import contents
from tests.small import small
from tivae import records, stages


@pytest.fixture(scope="module")
def results(host, tmp_path_factory):
    """A small real study with a failed trial, and a picture in its report."""
    folder = tmp_path_factory.mktemp("results") / "tiny"
    for seed in (0, 1):
        for model in ("vae", "categorical_vae"):
            stages.run_trial(small(model=model, seed=seed, epochs=1), host, "cpu", folder, measures="none")
    records.write_unfinished(small(seed=2, epochs=1), folder, "failed", "its worker died")
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


def test_it_says_how_the_study_was_made(published):
    about = json.loads((published / "about.json").read_text())
    assert about["command"] == "uv run python -m study.run tiny"
    assert about["trials"] == 5
    assert about["device"] == ["cpu"]
    assert (published / "figures" / "picture.png").read_bytes() == b"a picture"


def test_publishing_again_replaces_the_copy(results, published):
    publish.publish(results, "again", [], published)
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


@pytest.mark.parametrize("output", ["results/tiny", "results", ".", "results/tiny/trials", "results/tiny/new", "link"])
def test_a_copy_that_would_touch_the_results_is_refused(results, tmp_path, monkeypatch, capsys, output):
    shutil.copytree(results, tmp_path / "results" / "tiny")
    (tmp_path / "link").symlink_to("results")
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    assert publish.main(["results/tiny", "--command", "x", "--output", output]) == 2
    assert "which overlaps the results folder" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("about", [None, "[]", '{"by": "hand"}', "no JSON"])
def test_a_folder_that_no_publish_has_written_is_left_as_it_is(results, tmp_path, about):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    if about is not None:
        (mine / "about.json").write_text(about)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="mine exists and was not written by publish"):
        publish.publish(results, "x", [], mine)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("place", ["notes.txt", "tables/mine.csv", "trials/notes.txt"])
def test_a_copy_with_something_of_the_users_in_it_is_left_as_it_is(results, published, place):
    (published / place).write_text("mine")
    before = contents(published)
    with pytest.raises(ValueError, match=rf"holds {place}, which publish has not written; move it away"):
        publish.publish(results, "x", [], published)
    assert contents(published) == before


@pytest.mark.parametrize("name", ["../../../x", "/etc/x", "a/b", "..", ""])
def test_pictures_are_named_without_a_path(results, tmp_path, name):
    with pytest.raises(ValueError, match=r"--figures names .*, without a path"):
        publish.publish(results, "x", [name], tmp_path / "new")


@pytest.mark.parametrize("place", ["measures.json", "predictions.pt", "../../optuna_journal.log"])
def test_links_in_the_results_are_not_published(results, tmp_path, place):
    shutil.copytree(results, tmp_path / "tiny")
    (tmp_path / "secret").write_text("secret")
    trial = next((tmp_path / "tiny" / "trials").iterdir())
    path = trial / place
    path.unlink(missing_ok=True)
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="is a symbolic link"):
        publish.publish(tmp_path / "tiny", "x", [], tmp_path / "new")
    assert not (tmp_path / "new").exists()
