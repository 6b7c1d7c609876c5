"""A staircase that none of the trials beats, with the axes of all other figures."""

import warnings

import optuna
import pytest

from analysis.figures import optuna_plots, pareto_front
from analysis.figures.drawing import style
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.drawing.sources import Sources
from tests.analysis.figures.test_optuna_plots import search_of

VALUES = [[0.9, 100], [0.8, 10], [0.7, 20]]


def named(values, directions=("maximize", "minimize")):
    search = search_of(values, list(directions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        search.set_metric_names(["validation_augmented_accuracy", "encoding_dim"])
    return search


def test_the_size_is_across_and_the_accuracy_up_in_percent(study):
    (drawn,) = pareto_front.drawn(Sources(study, search=named(VALUES)))
    (ax,) = drawn.figure.axes

    assert drawn.name == "optuna_pareto_front"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Latent size", "Validation augmented accuracy (%)")
    stairs = ax.lines[0]
    assert stairs.get_drawstyle() == "steps-post"
    assert stairs.get_xdata().tolist() == [10, 100]
    assert stairs.get_ydata().tolist() == pytest.approx([80, 90])


def test_no_trial_is_above_the_staircase():
    values = [[0.1 * number % 0.77, 2 + 7 * number % 50] for number in range(20)]
    frame = optuna_plots.numbers(named(values))
    front = frame[frame["is_best"]].sort_values("encoding_dim")
    for _, trial in frame.iterrows():
        reached = front[front["encoding_dim"] <= trial["encoding_dim"]]["validation_augmented_accuracy"]
        assert reached.max() >= trial["validation_augmented_accuracy"]


def test_models_are_told_apart():
    search = named(VALUES)
    frame = optuna_plots.numbers(search).assign(parameter_model=["vae", "aet", "vae"])
    with style.applied():
        ax = pareto_front.draw(
            style.new_figure(3).subplots(), frame, "encoding_dim", "validation_augmented_accuracy", (False, True)
        )
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len([label for label in labels if label.startswith("VAE")]) == 2
    assert {line.get_color() for line in ax.lines[1:]} == {style.model_mark(model).colour for model in ("vae", "aet")}


@pytest.mark.parametrize(("sizes", "scale"), [((100, 10), "linear"), ((100, 2), "log"), ((100, 0), "linear")])
def test_a_front_over_many_sizes_has_a_logarithmic_axis_with_plain_numbers(study, sizes, scale):
    (drawn,) = pareto_front.drawn(Sources(study, search=named([[0.9, sizes[0]], [0.8, sizes[1]]])))
    (ax,) = drawn.figure.axes

    assert (ax.get_xscale(), ax.get_yscale()) == (scale, "linear")
    if scale == "log":
        assert ax.xaxis.get_major_formatter()(100, None) == "100"


@pytest.mark.parametrize("search", [None, search_of([0.1, 0.2])])
def test_a_study_without_two_objectives_has_none(study, search):
    with pytest.raises(NotSupported, match="not an Optuna search of two objectives"):
        pareto_front.drawn(Sources(study, search=search))
