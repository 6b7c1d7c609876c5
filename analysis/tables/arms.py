"""Accuracies, gaps, consistency and time of each arm of a study of invariance."""

from __future__ import annotations

import pandas as pd

from analysis.figures.invariance_map import arms as arms_of
from analysis.formats import Table
from analysis.frames.study import Study
from analysis.tables.study_table import StudyTable

READ_WARPS = ("rotation_r_squared", "shift_x_r_squared", "shift_y_r_squared", "scale_r_squared")
BY = "validation_augmented_accuracy"
_NOTES = (
    "matched: each test set is read by a probe fitted on training images of its kind; base-fitted: augmented test "
    "images are read by the probe of base images. gap: base accuracy less augmented accuracy, in points.",
    "latent shift: squared distance of an image's encoding from that of its warp, over the distance to another image. "
    "same prediction: under a random warp. warp read: mean R^2 of rotation, shifts and scale, read linearly.",
    "images/s: of training, in the mean over epochs; hours: of training and readout, in the mean over seeds.",
)


def arms(study: Study) -> StudyTable:
    """A row per arm, the most accurate on augmented validation images first; controls and ceilings are among them.

    Raises `NotSupported` if the study has no ceiling to compare with.
    """
    frame = arms_of(study)
    trials = study.finished
    speed = study.epochs.groupby("key")["images_per_second"].mean()
    extra = pd.DataFrame(
        {
            "cell": frame.attrs["cells"].reindex(trials.index),
            "base_fitted": trials["augmented_accuracy_fit_base"],
            "latent_displacement": trials.get("latent_displacement"),
            "prediction_consistency": trials.get("prediction_consistency"),
            "warp_read": trials.reindex(columns=list(READ_WARPS)).mean(axis=1),
            "images_per_second": trials["key"].map(speed),
            "hours": trials["wall_seconds"] / 3600,
            BY: trials[BY],
        }
    )
    frame = frame.merge(extra.groupby("cell").mean(numeric_only=True).reset_index(), on="cell", how="left")
    frame["gap"] = 100 * (frame["base_accuracy"] - frame["augmented_accuracy"])
    frame["gap_base_fitted"] = 100 * (frame["base_accuracy"] - frame["base_fitted"])
    order = frame[BY].fillna(frame["augmented_accuracy"])
    frame = frame.loc[order.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)
    collapsed = frame.loc[frame["is_collapsed"], "arm"]
    notes = [*_NOTES, *([f"Collapsed by its own diagnostics: {'; '.join(collapsed)}."] if len(collapsed) else [])]
    table = Table("What each arm gives and costs", (("", _shown(frame), RIGHT),), tuple(notes), label="tab:arms")
    return StudyTable("arms", frame, table)


RIGHT = [
    *("n", "base", "augmented", "base-fitted", "gap", "gap base-fitted", "latent shift", "same prediction"),
    *("warp read", "images/s", "hours"),
]


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    def number(name: str, form: str) -> list[str | None]:
        return [None if pd.isna(value) else form.format(value) for value in frame[name]]

    names = ("base_accuracy", "augmented_accuracy", "base_fitted")
    shown = {"arm": list(frame["arm"]), "n": [str(n) for n in frame["n"]]}
    shown |= dict(zip(RIGHT[1:4], (number(name, "{:.4f}") for name in names), strict=True))
    shown |= {"gap": number("gap", "{:.1f}"), "gap base-fitted": number("gap_base_fitted", "{:.1f}")}
    shown |= {"latent shift": number("latent_displacement", "{:.3f}")}
    shown |= {"same prediction": number("prediction_consistency", "{:.3f}"), "warp read": number("warp_read", "{:.2f}")}
    shown |= {"images/s": number("images_per_second", "{:.0f}"), "hours": number("hours", "{:.2f}")}
    return pd.DataFrame(shown)
