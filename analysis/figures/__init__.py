"""The figures of a study, each computed apart from drawing and saved as PNG, PDF, SVG and CSV.

    from analysis import figures

    saved, skipped = figures.write_all(study, "results/paper_grid/figures")
    for figure in saved:
        print(figure.title, figure.paths["png"])

A module per figure: its `numbers` give a frame without drawing, its `draw` takes axes, its `drawn` makes the finished
figures of a study.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from analysis.figures import (
    accuracy_by_cell,
    confusion,
    effects,
    invariance_map,
    latent_space,
    learning_curves,
    optuna_plots,
    pareto_front,
    stn_gain,
    sweeps,
    warp_curves,
)
from analysis.figures.drawing import saving, style
from analysis.figures.drawing.captions import is_quick
from analysis.figures.drawing.saving import DrawnFigure, NotSupported, SavedFigure
from analysis.figures.drawing.sources import Sources
from analysis.figures.images import misclassified, reconstructions, samples, stn_images
from analysis.frames.study import Study
from tivae.data.image_set import Images

__all__ = [
    "ALL",
    "DrawnFigure",
    "NotSupported",
    "SavedFigure",
    "Sources",
    "title_of",
    "write_all",
]

# In the order of a report: results first, then what was learnt, then what went in.
ALL: Mapping[str, Callable[[Sources], list[DrawnFigure]]] = {
    "accuracy_by_cell": accuracy_by_cell.drawn,
    "invariance_map": invariance_map.drawn,
    "stn_gain": stn_gain.drawn,
    "effects": effects.drawn,
    "sweeps": sweeps.drawn,
    "warp_curves": warp_curves.drawn,
    "learning_curves": learning_curves.drawn,
    "confusion": confusion.drawn,
    "misclassified": misclassified.drawn,
    "latent_space": latent_space.drawn,
    "reconstructions": reconstructions.drawn,
    "stn_images": stn_images.drawn,
    "samples": samples.drawn,
    "pareto_front": pareto_front.drawn,
    "optuna_plots": optuna_plots.drawn,
}


def write_all(
    study: Study,
    folder: str | os.PathLike[str],
    *,
    data: Images | None = None,
    names: Sequence[str] | None = None,
    log: Callable[[str], None] | None = None,
) -> tuple[list[SavedFigure], dict[str, str]]:
    """Draws and writes the figures that the study supports, in order; and why each of the others is left out.

    data: as in `Sources`. names: of `ALL`, where not all are wanted. log: called with each name before it is drawn.

    Raises `ValueError` for an unknown name, and `OSError` where the folder can't be written.
    """
    unknown = [name for name in names or () if name not in ALL]
    if unknown:
        raise ValueError(f"`{unknown[0]}` is not a figure; it must be one of {', '.join(ALL)}")
    sources = Sources(study, data)
    saved, skipped = [], {}
    for name in ALL if names is None else names:
        if log is not None:
            log(name)
        with style.applied():
            try:
                drawn = ALL[name](sources)
            except NotSupported as problem:
                skipped[name] = str(problem)
                continue
            for figure in drawn:
                style.write_title(figure.figure, title_of(figure, study))
                saved.append(saving.save(figure, Path(folder)))
    return saved, skipped


def title_of(figure: DrawnFigure, study: Study) -> str:
    """The title with the number of seeds, and that it means nothing where the study was a quick run."""
    return f"{figure.title}{_number(figure.data)}{style.QUICK_MARK if is_quick(study.trials) else ''}"


def _number(data: pd.DataFrame) -> str:
    """How many seeds a figure's points are means of, such as " (n = 3 seeds)"; "" where it has no such points."""
    if "over" not in data or "n" not in data or data.empty:
        return ""
    low, high = int(data["n"].min()), int(data["n"].max())
    if high == 1:
        return " (n = 1 seed)"
    return f" (n = {low} seeds)" if low == high else f" (n = {low} to {high} seeds)"
