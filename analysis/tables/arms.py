"""What each arm of a study of invariance gives and costs, and what each ingredient adds to the arms without it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis.figures.drawing.arms import choice_label
from analysis.figures.drawing.saving import NotSupported
from analysis.figures.invariance_map import arms as arms_of
from analysis.figures.invariance_map import ranked_on
from analysis.formats import Table
from analysis.frames.cells import VALIDATION
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.study import Study
from analysis.tables.study_table import StudyTable

READ_WARPS = ("rotation_r_squared", "shift_x_r_squared", "shift_y_r_squared", "scale_r_squared")
_NOTES = (
    "matched: each test set is read by a probe fitted on training images of its kind; base-fitted: augmented test "
    "images are read by the probe of base images. gap: base accuracy less augmented accuracy, in points.",
    "latent shift: squared distance of an image's encoding from that of its warp, over the distance to another image. "
    "same prediction: under a random warp. warp read: mean R^2 of rotation, shifts and scale, read linearly.",
    "images/s: of training, in the mean over epochs; hours: of training and readout, in the mean over seeds, without "
    "pretraining the STN, which arms share. Both by the clock, other work on the machine included.",
)


def arms(study: Study) -> StudyTable:
    """A row per arm, the most accurate on augmented validation images first; controls and ceilings are among them.

    Raises `NotSupported` if the study has no ceiling to compare with.
    """
    frame = _measured(study)
    collapsed = frame.loc[frame["is_collapsed"], "arm"]
    rank = (
        f"#: rank by the accuracy on {ranked_on(frame)}, controls among them, ceilings not. An arm is named by what "
        "sets it apart from most arms, or from the default."
    )
    notes = [rank, *_NOTES, *([f"Collapsed by its own diagnostics: {'; '.join(collapsed)}."] if len(collapsed) else [])]
    table = Table("What each arm gives and costs", (("", _shown(frame), RIGHT),), tuple(notes), label="tab:arms")
    return StudyTable("arms", frame, table)


def _measured(study: Study) -> pd.DataFrame:
    """`invariance_map.arms` with means over seeds of what else is measured."""
    own = arms_of(study)
    trials = study.finished
    speed = study.epochs.groupby("key")["images_per_second"].mean()
    extra = pd.DataFrame(
        {
            "cell": own.attrs["cells"].reindex(trials.index),
            "base_fitted": trials["augmented_accuracy_fit_base"],
            "latent_displacement": trials.get("latent_displacement"),
            "prediction_consistency": trials.get("prediction_consistency"),
            "warp_read": trials.reindex(columns=list(READ_WARPS)).mean(axis=1),
            "images_per_second": trials["key"].map(speed),
            "hours": trials["wall_seconds"] / 3600,
        }
    )
    frame = own.merge(extra.groupby("cell").mean(numeric_only=True).reset_index(), on="cell", how="left")
    frame.attrs = own.attrs
    frame["gap"] = 100 * (frame["base_accuracy"] - frame["augmented_accuracy"])
    frame["gap_base_fitted"] = 100 * (frame["base_accuracy"] - frame["base_fitted"])
    return frame


def ingredients(study: Study) -> StudyTable:
    """What arms gain that have one ingredient more than another arm of the same model: a row per ingredient.

    An ingredient is what is chosen in one arm beside all that is chosen in another (`drawing.arms.chosen`), with no arm
    between them. The frame has a row per pair: ingredient, arm (without it), base and augmented (gain in points), gap
    (its change in points), hours_ratio.

    Raises `NotSupported` if the study has no ceiling (as `arms`), or no two arms that differ so.
    """
    frame = _measured(study)
    choices = frame.attrs["choices"]
    usable = frame[~(frame["is_ceiling"] | frame["is_collapsed"]) & frame["key"].isin(list(choices))]
    pairs = [
        pair
        for _, part in usable.groupby("model", sort=False)
        for pair in _pairs({key: frozenset(choices[key].items()) for key in part["key"]})
    ]
    if not pairs:
        raise NotSupported("no two arms of one model differ by what one of them has more")
    by_key = usable.set_index("key")
    rows = []
    for before, after in pairs:
        added = {name: value for name, value in choices[after].items() if choices[before].get(name) != value}
        old, new = by_key.loc[before], by_key.loc[after]
        row = {"ingredient": choice_label(added), "arm": old["arm"]}
        row |= {test: 100 * (new[f"{test}_accuracy"] - old[f"{test}_accuracy"]) for test in TEST_SETS}
        rows.append(row | {"gap": new["gap"] - old["gap"], "hours_ratio": new["hours"] / old["hours"]})
    found = pd.DataFrame(rows)
    order = found.groupby("ingredient")["augmented"].mean().sort_values(ascending=False, kind="stable")
    found = found.sort_values("ingredient", key=lambda names: names.map(list(order.index).index), kind="stable")
    found = found.reset_index(drop=True)
    table = Table(
        "What each ingredient adds",
        (("", _shown_ingredients(found), ["arms", *_ADDED.values()]),),
        (
            "Means over the arms of the same model that lack nothing but the ingredient, and their range; in points of "
            "accuracy on test images. Not judged: the ranges are over arms, not over seeds.",
            "time: hours of training and readout over those without it, by the clock; without pretraining the STN.",
        ),
        label="tab:ingredients",
    )
    return StudyTable("ingredients", found, table)


def _pairs(choices: Mapping[str, frozenset[Any]]) -> Iterator[tuple[str, str]]:
    """Keys of arms of which the second has all that is chosen in the first and more, and none lies between them."""
    for (before, few), (after, many) in itertools.permutations(choices.items(), 2):
        if few < many and not any(few < between < many for between in choices.values()):
            yield before, after


_ADDED = {"base": "base", "augmented": "augmented", "gap": "gap", "hours_ratio": "time"}


def _shown_ingredients(found: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for ingredient, part in found.groupby("ingredient", sort=False):
        shown = {"ingredient": str(ingredient), "arms": str(len(part))}
        for name, column in _ADDED.items():
            form = "{:.1f}" if name == "hours_ratio" else "{:+z.1f}"
            low, mean, high = (form.format(part[name].agg(how)) for how in ("min", "mean", "max"))
            shown[column] = mean if len(part) == 1 else f"{mean} ({low} to {high})"
        rows.append(shown)
    return pd.DataFrame(rows)


RIGHT = [
    *("#", "n", "validation", "base", "augmented", "base-fitted", "gap", "gap base-fitted"),
    *("latent shift", "same prediction", "warp read", "images/s", "hours"),
]


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    def number(name: str, form: str) -> list[str | None]:
        values = frame[name] if name in frame else itertools.repeat(None, len(frame))
        return [None if pd.isna(value) else form.format(value) for value in values]

    shown = {"#": number("number", "{}"), "arm": list(frame["arm"]), "n": [str(n) for n in frame["n"]]}
    accuracies = (VALIDATION, "base_accuracy", "augmented_accuracy", "base_fitted")
    shown |= dict(zip(RIGHT[2:6], (number(name, "{:.4f}") for name in accuracies), strict=True))
    shown |= {"gap": number("gap", "{:.1f}"), "gap base-fitted": number("gap_base_fitted", "{:.1f}")}
    shown |= {"latent shift": number("latent_displacement", "{:.3f}")}
    shown |= {"same prediction": number("prediction_consistency", "{:.3f}"), "warp read": number("warp_read", "{:.2f}")}
    shown |= {"images/s": number("images_per_second", "{:.0f}"), "hours": number("hours", "{:.2f}")}
    return pd.DataFrame(shown)
