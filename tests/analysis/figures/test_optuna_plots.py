"""The course of an Optuna search, its numbers and drawings."""

import optuna
import pandas as pd
import pytest
from matplotlib.figure import Figure
from optuna.distributions import FloatDistribution, IntDistribution

from analysis.figures import optuna_plots
from analysis.figures.drawing import style
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources

DISTRIBUTIONS = {"latent_dim": IntDistribution(2, 100), "learning_rate": FloatDistribution(1e-4, 1e-2, log=True)}


def search_of(values, directions=("maximize",), latents=None):
    search = optuna.create_study(directions=list(directions))
    for number, value in enumerate(values):
        params = {"latent_dim": (latents or [10] * 99)[number], "learning_rate": 1e-4 * (1 + number % 7)}
        state = optuna.trial.TrialState.FAIL if value is None else optuna.trial.TrialState.COMPLETE
        given = {} if value is None else {"values": value if isinstance(value, list) else [value]}
        search.add_trial(optuna.trial.create_trial(params=params, distributions=DISTRIBUTIONS, state=state, **given))
    return search


def test_the_best_so_far_follows_the_direction():
    maximised = optuna_plots.numbers(search_of([0.5, None, 0.7, 0.6]))
    minimised = optuna_plots.numbers(search_of([0.5, 0.7, 0.4], directions=["minimize"]))

    assert maximised["best"].tolist() == [0.5, 0.5, 0.7, 0.7]
    assert maximised["state"].tolist() == ["complete", "fail", "complete", "complete"]
    assert maximised["is_best"].tolist() == [False, False, True, False]
    assert minimised["best"].tolist() == [0.5, 0.5, 0.4]
    assert maximised["parameter_latent_dim"].eq(10).all()


def test_the_pareto_front_is_marked():
    """More accuracy, fewer latents: the third is worse than the second in both."""
    frame = optuna_plots.numbers(search_of([[0.9, 100], [0.8, 10], [0.7, 20]], ["maximize", "minimize"]))

    assert frame["is_best"].tolist() == [True, True, False]
    assert frame["value_1"].tolist() == [100, 10, 20]


@pytest.mark.parametrize("directions", [["maximize"], ["maximize", "minimize"]])
def test_the_parameter_that_decides_is_the_most_important(directions):
    latents = [2 + 5 * (number * 7 % 20) for number in range(40)]
    values = [[latent / 100] if len(directions) == 1 else [latent / 100, 0.0] for latent in latents]
    frame = optuna_plots.importances(search_of(values, directions, latents))

    assert frame["parameter"].iloc[0] == "latent_dim"
    assert frame["importance"].sum() == pytest.approx(1)
    assert frame["importance"].iloc[0] > 0.7


def test_a_size_has_no_importances(monkeypatch):
    search = search_of([number / 20 for number in range(12)])
    monkeypatch.setattr(optuna_plots, "objective_names", lambda _: ["encoding_dim"])
    with pytest.raises(NotSupported, match="encoding_dim is a size, which follows from the parameters"):
        optuna_plots.importances(search)


def test_one_of_several_objectives_is_explained():
    """Only a high accuracy depends on the latents."""
    latents = [2 + number * 7 % 40 for number in range(40)]
    values = [[1.0 if latent > 38 else 0.001 * (number % 5), 0.0] for number, latent in enumerate(latents)]
    frame = optuna_plots.importances(search_of(values, ["maximize", "minimize"], latents))

    assert frame["parameter"].iloc[0] == "latent_dim"


@pytest.mark.parametrize(
    ("values", "message"),
    [([0.1, 0.2], "2 trials are complete"), ([0.1] * 12, "all complete trials have the same value")],
)
def test_importances_of_too_little_are_reported(values, message):
    with pytest.raises(NotSupported, match=message):
        optuna_plots.importances(search_of(values))


def test_a_search_without_complete_trials_is_reported():
    with pytest.raises(NotSupported, match="no trial of the search is complete"):
        optuna_plots.numbers(search_of([None, None]))


def test_the_series_have_our_marks():
    ax = optuna_plots.draw_history(Figure().add_subplot(), optuna_plots.numbers(search_of([0.1, 0.3, 0.2])), "value")
    trials, best = ax.lines

    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["each trial", "best so far"]
    assert (trials.get_color(), trials.get_ydata().tolist()) == (style.numbered_mark(0).colour, [0.1, 0.3, 0.2])
    assert (best.get_color(), best.get_ydata().tolist()) == (style.numbered_mark(1).colour, [0.1, 0.3, 0.3])
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_bars_have_the_importances_the_most_important_on_top():
    shares = pd.DataFrame({"parameter": ["latent_dim", "kl_weight"], "importance": [0.8, 0.2]})
    ax = optuna_plots.draw_importances(Figure().add_subplot(), shares, "value")

    assert [bar.get_width() for bar in ax.patches] == [0.2, 0.8]
    assert [text.get_text() for text in ax.texts] == ["0.20", "0.80"]


def test_one_objective_has_history_and_importances(study):
    drawn = optuna_plots.drawn(Sources(study, search=search_of([number / 20 for number in range(12)])))

    assert [figure.name for figure in drawn] == ["optuna_history", "optuna_importances"]
    assert "12 trials (12 complete)" in drawn[0].caption


def test_a_study_that_is_no_search_is_reported(study):
    with pytest.raises(NotSupported, match="the study is not an Optuna search"):
        optuna_plots.drawn(Sources(study))
