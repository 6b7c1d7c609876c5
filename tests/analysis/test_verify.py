"""What is published is made again from its records, and whatever was changed is named."""

import json
import shutil

import pytest

import analysis
from analysis import publish, verify
from analysis.publishing import agreement, retraining, sentences
from tests.small import small
from tivae import stages

GRID = publish.FOLDER / "paper_grid"


@pytest.fixture(scope="module")
def copy(host, tmp_path_factory):
    """A published copy of four small trials."""
    root = tmp_path_factory.mktemp("verify")
    for seed in (0, 1):
        for stn in ("none", "pretrained"):
            config = small(seed=seed, epochs=1, stn=stn, stn_epochs=1)
            stages.run_trial(config, host, "cpu", root / "tiny", measures="none")
    return publish.publish(root / "tiny", "uv run python -m study.run tiny", [], root / "published" / "tiny")


@pytest.fixture
def own(copy, tmp_path):
    return shutil.copytree(copy, tmp_path / "tiny")


def differing(folder):
    return {item.name: item.where for item in verify.verify(folder) if item.where is not None}


def test_a_copy_that_was_left_alone_is_equal_in_all(own, capsys):
    assert differing(own) == {}
    assert verify.main([str(own)]) == 0
    output = capsys.readouterr().out
    assert "equal   trials.csv\n" in output
    assert "equal   tables/table1.md\n" in output
    assert "from the predictions of 4 trials" in output
    assert output.endswith(" equal, 0 differ\n")


def test_a_table_that_was_changed_is_named_with_its_place(own, capsys):
    table = own / "tables" / "table1.md"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:-1], "- Of mine."]) + "\n")
    (own / "tables" / "of_mine.md").write_text("| mine |\n")
    found = differing(own)
    assert set(found) == {"tables/table1.md", "tables/of_mine.md", "ro-crate-metadata.json"}
    assert found["tables/table1.md"].startswith(f"line {len(lines)} is ")
    assert verify.main([str(own)]) == 1
    assert capsys.readouterr().out.endswith("3 differ\n")


def test_a_record_that_was_changed_is_at_odds_with_predictions_and_tables(own):
    path = next(iter(sorted((own / "trials").iterdir()))) / "record.json"
    record = json.loads(path.read_text())
    record["metrics"]["base_accuracy"] += 0.01
    record.pop("digest")
    path.write_text(json.dumps(record))
    found = differing(own)
    assert "its predictions" in found["accuracies of the records, from the predictions"]
    assert "base_accuracy" in found["trials.csv"]
    assert "tables/table1.csv" in found


def test_a_file_that_is_missing_is_named(own):
    (own / "epochs.csv").unlink()
    found = differing(own)
    assert found.pop("epochs.csv") == "it is missing"
    # Which lists the files there are.
    assert set(found) == {"ro-crate-metadata.json"}


def test_each_verdict_is_an_item_of_its_own(tmp_path):
    shutil.copytree(GRID, tmp_path / "grid")
    verdicts = tmp_path / "grid" / "tables" / "verdicts.csv"
    verdicts.write_text(verdicts.read_text().replace(",supported,", ",refuted,", 1))
    found = differing(tmp_path / "grid")
    (name,) = (name for name in found if name.startswith("verdict on "))
    assert found[name] == "refuted; the records give supported"
    # What lies elsewhere says nothing of the documents of this repository.
    assert not [item for item in verify.verify(tmp_path / "grid") if "README" in item.name]


def test_sentences_are_looked_up_with_the_numbers_of_the_records():
    study = analysis.load(GRID)
    words = [sentence.words for sentence in sentences.of(study, "paper_grid")]
    assert len(words) >= 10
    assert all(item.where is None for item in verify.sentences_of(study, "paper_grid"))
    changed = study.trials.copy()
    changed["augmented_accuracy"] -= 0.01 * (changed["stn"] == "none").astype(float)
    other = type(study)(changed, study.epochs, study.folders)
    wrong = [item for item in verify.sentences_of(other, "paper_grid") if item.where is not None]
    assert any("Transformations cost" in item.name and "the records give" in item.where for item in wrong)


def test_an_accuracy_that_no_cell_has_is_named():
    study = analysis.load(publish.FOLDER / "kl_weight")
    texts = {path: (sentences.ROOT / path).read_text() for path in (sentences.README, sentences.FOUND)}
    assert sentences.foreign_accuracies(study, "kl_weight", texts) == []
    texts[sentences.FOUND] = texts[sentences.FOUND].replace("77.4 / 69.3", "77.4 / 99.9")
    assert sentences.foreign_accuracies(study, "kl_weight", texts) == [f"{sentences.FOUND}: 99.9"]


@pytest.mark.parametrize(
    ("name", "published", "made", "where"),
    [
        ("a.csv", "x,y\n1,0.1\n", "x,y\n1,0.10000000000001\n", None),
        ("a.csv", "x,y\n1,0.1\n", "x,y\n1,0.1001\n", "row 1, y: '0.1'; the records give '0.1001'"),
        ("a.csv", "x,y\n1,one\n", "x,y\n1,two\n", "row 1, y: 'one'; the records give 'two'"),
        ("a.csv", "x\n1\n", "x\n1\n2\n", "it has 1 rows; the records give 2"),
        ("a.csv", "x\n1\n", "y\n1\n", "row 1, x: '1'; the records give ''"),
        ("a.csv", "x\n1\n", "x,y\n1,\n", None),
        ("a.csv", "x\n1\n", "x,y\n1,2\n", "row 1, y: ''; the records give '2'"),
        ("a.csv", "pixel_deviation\n1\n", "pixel_std\n1\n", None),
        ("a.md", "one\ntwo\n", "one\nthree\n", "line 2 is 'two'; the records give 'three'"),
        ("a.md", "one\n", "one\ntwo\n", "line 2 is nothing; the records give 'two'"),
        ("a.md", "one", "one\n", "the ends of its lines"),
    ],
)
def test_the_first_place_that_differs_is_reported(name, published, made, where):
    assert agreement.difference(name, published, made) == where


def test_words_are_found_across_lines_and_the_first_others_are_reported():
    text = "It takes 3.1 points of\naccuracy, and the rest stays."
    assert agreement.missing_words(text, "takes 3.1 points\nof accuracy,") is None
    found = agreement.missing_words(text, "It takes 3.1 points of accuracy, or more")
    assert found == "behind '3.1 points of accuracy,' the records give 'or more', it has 'and the rest stays.'"
    assert agreement.missing_words(text, "Nothing of it") == "nothing begins with 'Nothing of it'"


def test_trials_trained_again_equal_their_records(copy, capsys):
    assert verify.main([str(copy), "--retrain", "2", "--seed", "1"]) == 0
    output = capsys.readouterr().out
    assert output.count(", trained again\n") == 2
    study = analysis.load(copy)
    draws = {tuple(trial.key for trial in retraining.chosen(study, 2, seed)) for seed in (0, 0, 1, 2, 3)}
    assert 1 < len(draws) < 5


def changed(folder, change):
    """Changes the one record that is trained again."""
    (trial,) = retraining.chosen(analysis.load(folder), 1, 0)
    path = trial.folder / "record.json"
    record = json.loads(path.read_text())
    change(record)
    record.pop("digest", None)
    path.write_text(json.dumps(record))
    return next(verify.retrained(folder, 1, 0, "cpu", None)).where


def test_a_number_that_differs_when_trained_again_is_reported_with_what_else_differs(own):
    def last_digit(record):
        record["epochs"][0]["train_loss"] *= 1 + 1e-15 * 4

    assert "epoch 1, train_loss: " in (found := changed(own, last_digit))
    assert found.endswith("(on the same model of device, kernels and versions, where numbers should be equal)")

    def machine(record):
        record["provenance"] |= {"device_name": "another", "torch": "2.8.0"}

    found = changed(own, machine)
    assert "(made with device_name another, here " in found
    assert found.endswith(": numbers are promised equal only where these are)")


def test_flipped_predictions_are_reported(own):
    from tivae.io import checkpoint

    (trial,) = retraining.chosen(analysis.load(own), 1, 0)
    content = dict(checkpoint.load(trial.folder / "predictions.pt"))
    content["augmented"] = (content["augmented"] + 1) % 10
    checkpoint.save(trial.folder / "predictions.pt", content)
    (item,) = verify.retrained(own, 1, 0, "cpu", None)
    assert "of 100 predictions of the augmented test images" in item.where


def test_a_trial_of_another_recipe_is_not_trained_again(own):
    for path in own.glob("trials/*/record.json"):
        record = json.loads(path.read_text()) | {"recipe": 1}
        record.pop("digest")
        path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="is of recipe 1, and this version trains recipe 2"):
        next(verify.retrained(own, 1, 0, "cpu", None))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere was not written by analysis.publish; publish it first"),
        (["results/paper_grid"], "was not written by analysis.publish; did you mean "),
        ([str(GRID), "--retrain", "0"], "--retrain is 0; it must be from 1 to 24, the finished trials"),
        ([str(GRID), "--retrain", "1"], "is of recipe 1, and this version trains recipe 2"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys):
    assert verify.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
