"""Which of many trials a figure shows."""

import pytest

import analysis
from analysis.figures.drawing import representatives
from analysis.figures.drawing.saving import NotSupported
from tests.analysis import synthetic
from tivae.config import TrialConfig

# The best single trial (0.80) is in a cell whose mean (0.70) is not the best.
ACCURACIES = {(5, 0): 0.60, (5, 1): 0.80, (10, 0): 0.75, (10, 1): 0.74}


@pytest.fixture
def study(tmp_path):
    configs = [TrialConfig(latent_dim=size, seed=seed) for size, seed in ACCURACIES]
    configs.append(TrialConfig(model="categorical_vae"))

    def metrics(config, _):
        return {
            "augmented_accuracy": ACCURACIES.get((config.latent_dim, config.seed), 0.1) - 0.5 * (config.model != "vae")
        }

    return synthetic.study_of(tmp_path, configs, metrics)


def test_the_best_cell_has_the_best_mean(study):
    trials = representatives.best_cell(study)

    assert [(trial.row["latent_dim"], trial.row["seed"]) for trial in trials] == [(10, 0), (10, 1)]


def test_equally_good_cells_are_not_mixed(tmp_path):
    configs = [TrialConfig(latent_dim=size) for size in (5, 10)]
    study = synthetic.study_of(tmp_path, configs, lambda *_: {"augmented_accuracy": 0.7})

    assert len(representatives.best_cell(study)) == 1


def test_each_models_best_cell_comes_first(study):
    preferred = representatives.by_model(study)

    assert list(preferred) == ["vae", "categorical_vae"]
    assert [(trial.row["latent_dim"], trial.row["seed"]) for trial in preferred["vae"]] == [
        *((10, 0), (10, 1), (5, 1), (5, 0))
    ]


def test_a_trial_that_cannot_be_read_is_passed_over(study):
    trials = representatives.best_cell(study)

    def read(trial):
        if trial.row["seed"] == 0:
            raise ValueError("damaged")
        return "content"

    assert representatives.first_readable(trials, read) == (trials[1], "content")
    assert representatives.all_readable(trials, read) == [(trials[1], "content")]


def test_the_first_problem_is_reported_where_none_can_be_read(study):
    with pytest.raises(NotSupported, match=r"no predictions\.pt"):
        representatives.first_readable(representatives.best_cell(study), lambda trial: trial.predictions())


def test_a_model_without_readable_trials_is_left_out(study):
    def read(trial):
        if trial.row["model"] == "vae":
            raise ValueError("no weights")
        return trial.row["model"]

    found = representatives.readable_by_model(study, read)

    assert {model: content for model, (_, content) in found.items()} == {"categorical_vae": "categorical_vae"}


def test_nothing_finished_is_reported(tmp_path):
    synthetic.write_record(tmp_path, synthetic.record(TrialConfig(), "failed", "no memory"))

    with pytest.raises(NotSupported, match="no trial has finished"):
        representatives.best_cell(analysis.load(tmp_path))
