"""What differs between two trials, or two studies, with known answers."""

import pytest
import torch

from analysis.command_line import EXIT_BAD_INPUT
from analysis.compare import compare, main
from analysis.frames import columns
from tests.analysis.synthetic import grid, record, write_record, write_study
from tivae.config import TrialConfig, known_fields
from tivae.io import checkpoint

LABELS = torch.arange(100) % 10


def _trial(results, config, wrong):
    """A trial that classifies all test images rightly but those in `wrong`."""
    folder = write_record(results, record(config))
    predicted = LABELS.clone()
    predicted[list(wrong)] = (predicted[list(wrong)] + 1) % 10
    checkpoint.save(folder / "predictions.pt", {"labels": LABELS, "base": predicted, "augmented": LABELS.clone()})
    return folder


def test_two_trials(tmp_path):
    one = _trial(tmp_path, TrialConfig(), range(10, 30))
    two = _trial(tmp_path, TrialConfig(kl_weight=0.5), [0, *range(20, 30)])
    settings, flips, classes = compare(one, two)
    assert "kl_weight" in settings.text()
    assert "latent_dim" not in settings.text()
    base = flips.blocks[0][1].iloc[0]
    assert (base["fixed"], base["broken"]) == ("10", "1")
    assert (base[one.name], base[two.name]) == ("0.8000", "0.8900")
    # Exact McNemar: 2 * P(at most 1 of 11 | 1/2) = 2 * 12 / 2048.
    assert base["p"] == "0.012"
    frame = classes.blocks[0][1]
    assert frame["base", "diff."].tolist() == ["+0.0000", *["+0.1000"] * 9]


def test_the_same_trial_differs_in_nothing(tmp_path):
    one = _trial(tmp_path, TrialConfig(), [3])
    settings, flips, _ = compare(one, one)
    assert "the same trial" in settings.text()
    assert flips.blocks[0][1]["p"].tolist() == ["1.000", "1.000"]


def test_the_same_trial_in_two_folders_has_the_numbers_of_both(tmp_path):
    _, flips, classes = compare(*(_trial(tmp_path / str(len(wrong)), TrialConfig(), wrong) for wrong in ([3], [])))
    assert flips.blocks[0][1].iloc[0][["first", "second"]].tolist() == ["0.9900", "1.0000"]
    assert list(classes.blocks[0][1].iloc[3])[1:4] == ["0.9000", "1.0000", "+0.1000"]


def test_an_own_field_of_a_probe_is_a_setting(tmp_path):
    folders = [_trial(tmp_path / str(k), TrialConfig(probe="k_nearest", neighbours=k), []) for k in (5, 20)]
    assert compare(*folders)[0].blocks[0][1].to_numpy().tolist() == [["neighbours", "5", "20"]]
    studies = (folder.parent.parent for folder in folders)
    assert compare(*studies)[0].blocks[0][1].to_numpy().tolist() == [["neighbours", "5", "20"]]


def test_two_studies_are_paired_by_seed(tmp_path):
    def metrics(gain):
        return lambda config, _: {"base_accuracy": 0.7 + 0.01 * config.seed + gain, "augmented_accuracy": 0.6}

    one = write_study(tmp_path / "one", grid(seeds=3), metrics(0.0))
    two = write_study(tmp_path / "two", grid(seeds=3, kl_weight=0.5), metrics(0.02))
    settings, seeds, _ = compare(one, two)
    assert "kl_weight" in settings.text()
    frame = seeds.blocks[0][1]
    assert len(frame) == 8
    assert set(frame["base"]) == {"+2.00"}
    assert set(frame["augmented"]) == {"+0.00"}
    assert set(frame["n"]) == {"3"}


def test_a_factor_of_a_model_that_one_study_alone_has(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "known_fields", lambda: known_fields() | {"gamma": None})
    one, two = (write_study(tmp_path / name, [TrialConfig()]) for name in ("one", "two"))
    for gamma in (1, 2):
        content = record(TrialConfig(latent_dim=5, seed=gamma))
        content["config"] |= {"model": "elsewhere:Model", "gamma": gamma}
        write_record(one, content)
    assert compare(one, two)[1].blocks[0][1]["cell"].tolist() == ["VAE, trained on base, no STN"]


def test_flips_of_studies_need_predictions(tmp_path):
    for name, wrong in (("one", [1, 2]), ("two", [2])):
        _trial(tmp_path / name, TrialConfig(), wrong)
        write_record(tmp_path / name, record(TrialConfig(seed=1)))
    flips = compare(tmp_path / "one", tmp_path / "two")[2]
    assert flips.blocks[0][1]["fixed"].tolist() == ["1", "0"]
    assert "1 pairs of trials have no predictions" in flips.text()


def test_other_test_images_are_not_compared(tmp_path):
    one = _trial(tmp_path, TrialConfig(), [])
    two = _trial(tmp_path, TrialConfig(test_images=100), [])
    checkpoint.save(two / "predictions.pt", {name: LABELS.flip(0) for name in ("labels", "base", "augmented")})
    with pytest.raises(ValueError, match="tested on other images"):
        compare(one, two)


@pytest.mark.parametrize("markdown", [False, True])
def test_the_command_prints_all_tables(tmp_path, capsys, markdown):
    one = _trial(tmp_path, TrialConfig(), [3])
    assert main([str(one), str(one), *(["--markdown"] if markdown else [])]) == 0
    printed = capsys.readouterr().out
    assert ("|" in printed) is markdown
    for title in ("Settings that differ", "Test images whose verdict flips", "Accuracy by class"):
        assert title in printed


def test_what_can_not_be_compared_is_one_line_and_exit_code_2(tmp_path, capsys):
    one = _trial(tmp_path / "study", TrialConfig(), [3])
    for pair in ((one, tmp_path / "study"), (tmp_path / "nothing", tmp_path / "study"), (one, one.with_name("0" * 12))):
        assert main([str(path) for path in pair]) == EXIT_BAD_INPUT
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1


def test_studies_and_trials_of_two_recipes_are_told_apart(tmp_path):
    folders = {}
    for recipe in (1, 2):
        content = record(TrialConfig()) | {"recipe": recipe, "key": f"{recipe}" * 12}
        folders[recipe] = write_record(tmp_path / f"recipe_{recipe}", content)
        # One folder that holds both, as a study that an older version began.
        write_record(tmp_path / "both", content)
    settings, *_ = compare(tmp_path / "recipe_1", tmp_path / "recipe_2")
    assert settings.blocks[0][1].to_numpy().tolist() == [["recipe", "1", "2"]]
    for one, two in (folders.values(), sorted((tmp_path / "both" / "trials").iterdir())):
        for folder in (one, two):
            predictions = {name: LABELS.clone() for name in ("labels", "base", "augmented")}
            checkpoint.save(folder / "predictions.pt", predictions)
        settings, *_ = compare(one, two)
        assert settings.blocks[0][1].to_numpy().tolist() == [["recipe", "1", "2"]]
