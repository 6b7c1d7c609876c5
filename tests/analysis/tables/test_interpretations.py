"""The table of interpretations, on studies that never ran."""

import pytest

import analysis
from analysis import tables
from analysis.figures.drawing.saving import NotSupported
from analysis.tables.interpretations import STATED
from tests.analysis.synthetic import grid, papers_metrics, study_of, write_study
from tivae.config import FIELD_NAMES, TrialConfig

GREY = {"fill": "grey", "interpolation": "nearest"}
SUMMARY = ["plain_vae_accuracy_error", "plain_vae_loss_error", "all_accuracy_error", "all_loss_error"]
COUNTS = ["accuracies_closer", "accuracies_farther", "losses_closer", "losses_farther"]


def _off(points, share):
    """The paper's values, accuracies higher by `points` and losses lower by `share`."""

    def metrics(config, draw):
        exact = papers_metrics(config, draw, noise=0)
        return {
            name: value + points / 100 if name.endswith("accuracy") else value * (1 - share)
            for name, value in exact.items()
        }

    return metrics


@pytest.fixture
def study(tmp_path):
    write_study(tmp_path, grid(2), _off(2.0, 0.3))
    write_study(tmp_path, grid(1, **GREY), _off(0.5, 0.1))
    write_study(
        tmp_path, [TrialConfig(train_dataset=data, batch_size=128) for data in ("base", "augmented")], _off(3, 0.4)
    )
    return analysis.load(tmp_path)


def test_each_interpretation_has_its_distance_from_the_paper(study):
    frame = tables.interpretations(study).frame
    assert frame["reading"].tolist() == [
        "interpolation nearest, fill grey",
        "the default settings",
        "batch size 128",
    ]
    assert frame["cells"].tolist() == [8, 8, 2]
    assert frame["n"].tolist() == [1, 2, 1]
    assert frame[SUMMARY].iloc[0].tolist() == pytest.approx([0.5, 10, 0.5, 10])
    assert frame[SUMMARY].iloc[1].tolist() == pytest.approx([2, 30, 2, 30])
    assert frame[SUMMARY].iloc[2, :2].tolist() == pytest.approx([3, 40])
    assert frame[SUMMARY].iloc[2, 2:].isna().all()


def test_values_closer_than_with_the_default_settings_are_counted(study):
    counts = tables.interpretations(study).frame[COUNTS]
    assert counts.iloc[0].tolist() == [16, 0, 16, 0]
    assert counts.iloc[1:].isna().all(axis=None)


def test_what_is_within_the_noise_of_the_test_images_is_not_closer(tmp_path):
    write_study(tmp_path, grid(), _off(1.0, 0.3))
    write_study(tmp_path, grid(**GREY), _off(0.5, 0.4))
    frame = tables.interpretations(analysis.load(tmp_path)).frame.set_index("reading")
    assert frame.loc["interpolation nearest, fill grey", COUNTS].tolist() == [0, 0, 0, 16]


def test_another_probe_of_the_same_trainings_is_a_reading_of_its_own(study, tmp_path):
    papers = _off(0, 0)

    def of_the_probe(config, draw):
        losses = {name: value for name, value in _off(2.0, 0.3)(config, draw).items() if "loss" in name}
        return papers(config, draw) | losses

    bypassed = [config for config in grid(2, probe_stn="bypassed") if config.stn == "pretrained"]
    write_study(tmp_path, bypassed, of_the_probe)
    study = analysis.load(tmp_path)
    row = tables.interpretations(study).frame.set_index("reading").loc["STN at the probe bypassed"]
    assert row[SUMMARY].tolist() == pytest.approx([2, 30, 1, 30])
    assert row[COUNTS[:2]].tolist() == [8, 0]
    assert row[COUNTS[2:]].isna().all()  # another probe leaves losses as they are


def test_one_reading_makes_no_table(tmp_path):
    with pytest.raises(NotSupported, match="there are not two interpretations"):
        tables.interpretations(study_of(tmp_path, [*grid(), TrialConfig(latent_dim=5)]))


def test_what_the_paper_states_are_fields():
    assert set(STATED) <= set(FIELD_NAMES)


def test_own_fields_of_the_studys_probe_make_readings_and_those_of_another_probe_none(tmp_path):
    nearest = {"probe": "k_nearest", "train_dataset": "augmented"}
    for neighbours in (20, 5):
        write_study(tmp_path / "nearest", grid(probe="k_nearest", neighbours=neighbours), _off(neighbours, 0.1))
    frame = tables.interpretations(analysis.load(tmp_path / "nearest")).frame.set_index("reading")
    assert frame["all_accuracy_error"].to_dict() == pytest.approx({"neighbours 5": 5, "the default settings": 20})
    assert frame.loc["neighbours 5", COUNTS].isna().tolist() == [False, False, True, True]
    write_study(tmp_path / "mixed", [*grid(), *grid(**GREY), TrialConfig(**nearest)], _off(1, 0.1))
    readings = tables.interpretations(analysis.load(tmp_path / "mixed")).frame["reading"]
    assert sorted(readings) == ["interpolation nearest, fill grey", "the default settings"]
