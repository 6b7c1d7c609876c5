"""Accuracy by cell: means, intervals, and the paper's values where they belong."""

import pytest
from matplotlib.figure import Figure

import analysis
from analysis.figures import accuracy_by_cell
from analysis.figures.drawing import style
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.inference import accuracy_interval, at_most
from analysis.paper import TABLE_1
from tests.analysis.synthetic import grid, record, study_of, write_record
from tivae.config import TrialConfig


def by_seed(config, _):
    return {"base_accuracy": 0.8 + config.seed / 100, "augmented_accuracy": 0.7 + config.seed / 100}


def test_each_cell_of_the_paper_has_its_value(tmp_path):
    frame = accuracy_by_cell.numbers(study_of(tmp_path, grid()))

    assert len(frame) == 16
    for paper in TABLE_1:
        part = frame
        for name, value in paper.factors.items():
            part = part[part[name] == value]
        values = part.set_index("test_set")["paper"]
        assert (values["base"], values["augmented"]) == (paper.base_accuracy, paper.augmented_accuracy)


def test_a_cell_with_another_latent_size_is_not_the_papers(tmp_path):
    frame = accuracy_by_cell.numbers(study_of(tmp_path, [TrialConfig(), TrialConfig(latent_dim=20)], by_seed))

    assert frame.set_index(["latent_dim", "test_set"])["paper"].notna().to_dict() == {
        **{(10, "base"): True, (10, "augmented"): True},
        **{(20, "base"): False, (20, "augmented"): False},
    }


def test_seeds_have_the_interval_over_seeds_and_images(tmp_path):
    frame = accuracy_by_cell.numbers(study_of(tmp_path, [TrialConfig(seed=seed) for seed in range(4)], by_seed))
    row = frame[frame["test_set"] == "base"].iloc[0]
    expected = at_most([0.80, 0.81, 0.82, 0.83], 10_000).interval()

    assert (row["n"], row["mean"], row["over"]) == (4, pytest.approx(0.815), "seeds and test images")
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert row["seeds"] == "0.8 0.81 0.82 0.83"


def test_one_seed_has_the_interval_over_its_test_images(tmp_path):
    study = study_of(tmp_path, [TrialConfig(test_images=500)], by_seed)
    row = accuracy_by_cell.numbers(study).iloc[1]
    expected = accuracy_interval(0.7, 500)

    assert (row["test_set"], row["over"]) == ("augmented", "test images")
    assert (row["low"], row["high"]) == (expected.low, expected.high)
    assert "do not hold what another seed would give" in accuracy_by_cell.drawn(Sources(study))[0].caption


def test_points_intervals_and_the_papers_values_are_drawn_in_per_cent(tmp_path):
    frame = accuracy_by_cell.numbers(study_of(tmp_path, [TrialConfig(seed=seed) for seed in range(3)], by_seed))
    ax = accuracy_by_cell.draw(Figure().subplots(), frame)
    lines = {line.get_label(): line for line in ax.lines}

    points, _, bars = ax.containers[0]
    assert points.get_xdata() == pytest.approx([81])
    assert bars[0].get_segments()[0][:, 0] == pytest.approx(100 * frame.loc[0, ["low", "high"]].astype(float))
    assert lines["the paper's value"].get_xdata() == pytest.approx([77.9])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["VAE, trained on base, no STN"]


def test_long_labels_leave_the_figure_to_the_accuracies(tmp_path):
    settings = {"reconstruction_target": "base", "consistency_weight": 0.1, "hidden_widths": (16, 32, 64, 128)}
    configs = [TrialConfig(latent_dim=100, **settings), TrialConfig(), TrialConfig(model="categorical_vae")]
    (drawn,) = accuracy_by_cell.drawn(Sources(study_of(tmp_path, configs, by_seed)))
    (ax,) = drawn.figure.axes
    drawn.figure.draw_without_rendering()
    labels = [text.get_text() for text in ax.get_yticklabels()]

    assert any("\n" in label for label in labels)
    assert max(len(line) for label in labels for line in label.split("\n")) <= style.LABEL_WIDTH + 1
    assert ax.get_position().width > 0.5


def test_of_many_cells_the_papers_and_the_best_are_drawn(tmp_path):
    configs = [TrialConfig(latent_dim=size) for size in range(1, 61)]
    study = study_of(tmp_path, configs, lambda config, _: {"augmented_accuracy": config.latent_dim / 100})
    frame = accuracy_by_cell.numbers(study)
    shown = accuracy_by_cell.shown_cells(frame)
    drawn = accuracy_by_cell.drawn(Sources(study))[0]

    assert set(shown["latent_dim"]) == {10, *range(38, 61)}
    assert "24 of 60" in drawn.caption
    assert drawn.alt.startswith("Accuracy of 24 cells: ")
    assert drawn.data["cell"].nunique() == 60


def test_other_settings_than_the_papers_are_reported(tmp_path):
    caption = accuracy_by_cell.drawn(Sources(study_of(tmp_path, grid(epochs=5))))[0].caption

    assert "whose recipe differs: here epochs 5 (paper: 20)" in caption


def test_nothing_finished_is_reported(tmp_path):
    write_record(tmp_path, record(TrialConfig(), "failed", "no memory"))

    with pytest.raises(NotSupported, match="no trial has finished"):
        accuracy_by_cell.numbers(analysis.load(tmp_path))
