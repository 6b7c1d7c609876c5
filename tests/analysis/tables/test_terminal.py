"""Table 1 in a terminal: within its width, in %, with the numbers of the whole table."""

from pathlib import Path

import pytest

import analysis
from analysis.formats import TERMINAL_WIDTH
from analysis.tables.search import best_text
from analysis.tables.table1 import table1
from analysis.tables.terminal import summary, table1_terminal
from tests.analysis.synthetic import grid, papers_metrics, study_of
from tivae.config import TrialConfig


@pytest.fixture
def study(tmp_path):
    controls = [TrialConfig(model=model) for model in ("pixels", "pca")]

    def metrics(config, draw):
        known = {"base_accuracy": 0.5, "augmented_accuracy": 0.4, "base_loss": 1.0, "augmented_loss": 1.0}
        return known if config.model in ("pixels", "pca") else papers_metrics(config, draw)

    return study_of(tmp_path, [*grid(seeds=3), *controls], metrics)


@pytest.mark.parametrize("width", [TERMINAL_WIDTH, 70, 60, 54])
def test_no_line_is_longer_than_the_terminal(study, width):
    lines = table1_terminal(study, width).splitlines()
    assert max(map(len, lines)) <= width


def test_accuracies_are_in_percent_beside_the_papers(study):
    text = table1_terminal(study)
    row = table1(study).iloc[1]
    line = next(line for line in text.splitlines() if line.startswith("base") and " yes " in line)
    half = (row["base_accuracy_high"] - row["base_accuracy_low"]) / 2
    assert f"{100 * row['base_accuracy']:.1f} ± {100 * half:.1f}" in line
    assert f"{100 * row['base_accuracy_paper']:.1f}" in line


def test_a_narrow_terminal_keeps_the_augmented_test_set(study):
    text = table1_terminal(study, 54)
    assert "augmented test set" in text
    assert "base test set" not in text


def test_controls_and_notes_are_there(study):
    text = table1_terminal(study)
    assert "raw pixels" in text
    assert "±: half of a 95 % interval by Student's t" in text


def test_a_sweep_shows_its_cells_and_not_a_table_1_of_which_most_is_missing(tmp_path):
    sizes = [TrialConfig(latent_dim=size, train_dataset="augmented") for size in (2, 5, 10)]
    text = summary(study_of(tmp_path, sizes), TERMINAL_WIDTH)
    assert text.startswith("Accuracy of every cell")
    assert max(map(len, text.splitlines())) <= TERMINAL_WIDTH
    assert "paper" not in text


@pytest.mark.parametrize("width", [60, 79, 200])
def test_the_best_trials_of_a_search_fit_the_terminal_and_keep_their_objective(width):
    study = analysis.load(Path(analysis.__file__).with_name("published") / "optuna_latent")
    lines = best_text(study, width).splitlines()
    assert max(map(len, lines)) <= width
    heads = lines[3].split()
    assert heads[heads.index("key") + 1] == "augmented"
    assert ("classes" in heads) == (width == 200)
