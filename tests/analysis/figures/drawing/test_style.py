"""One style that can be told apart without colour, and leaves matplotlib as it found it."""

import matplotlib
import pytest
from matplotlib.figure import Figure

from analysis.figures.drawing import style
from tivae.registry import MODELS

FAMILIES = {
    "test sets": tuple(style.TEST_SET_MARKS.values()),
    "models": tuple(style.MODEL_MARKS.values()),
    "numbered": tuple(style.numbered_mark(number) for number in range(8)),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("part", ["colour", "marker", "line"])
def test_no_two_marks_of_a_family_share_a_part(family, part):
    values = [getattr(mark, part) for mark in FAMILIES[family]]

    assert len(set(values)) == len(values)


def test_no_two_models_have_the_same_points():
    marks = [style.model_mark(model) for model in MODELS.names]

    assert len({(mark.colour, mark.marker) for mark in marks}) == len(marks)


def test_each_class_has_its_colour_and_marker():
    assert len(set(style.CLASS_COLOURS)) == len(set(style.CLASS_MARKERS)) == 10


def test_the_test_sets_differ_in_lightness():
    """In a black and white print the two series that stand in most figures are two greys."""
    greys = [
        sum(weight * value for weight, value in zip((0.299, 0.587, 0.114), matplotlib.colors.to_rgb(c), strict=True))
        for c in (style.TEST_SET_MARKS["base"].colour, style.TEST_SET_MARKS["augmented"].colour)
    ]

    assert abs(greys[0] - greys[1]) > 0.08


def test_settings_hold_inside_only():
    before = matplotlib.rcParams.copy()
    with style.applied():
        assert matplotlib.rcParams["font.size"] == style.SETTINGS["font.size"]

    assert matplotlib.rcParams.copy() == before


def test_the_users_own_settings_do_not_reach_a_figure():
    with matplotlib.rc_context({"lines.marker": "x", "font.size": 30}), style.applied():
        assert matplotlib.rcParams["lines.marker"] == matplotlib.rcParamsDefault["lines.marker"]
        assert matplotlib.rcParams["font.size"] == style.SETTINGS["font.size"]


def test_panels_are_lettered_in_order():
    axes = list(Figure().subplots(1, 3))
    style.letter_panels(axes)

    assert [ax.get_title(loc="left") for ax in axes] == ["(a)", "(b)", "(c)"]


def test_a_single_panel_has_no_letter():
    ax = Figure().subplots()
    style.letter_panels([ax])

    assert ax.get_title(loc="left") == ""


def test_marks_repeat_after_the_eighth():
    assert style.numbered_mark(8) == style.numbered_mark(0)
