"""A study and its trials in a notebook: tables as dataframes, figures that display, one line to load.

import analysis

study = analysis.load("results/paper_grid")
study.table1(), study.verdicts(), study.best()
study.figure("effects")
study.best().show()
"""

from __future__ import annotations

import difflib
import functools
import io
import os
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.frames import loading
from analysis.frames import study as frames
from analysis.frames import trial as one
from analysis.frames.columns import CONFIG_NAMES
from analysis.frames.labels import cell_label, percent, without_ceilings
from analysis.frames.metric_columns import TEST_SETS

LOWEST_IS_BEST = ("_loss", "_error", "_seconds", "_reconstruction", "_kl")

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def load(*paths: str | os.PathLike[str], running: bool = False, recipe: int | None = None) -> Study:
    """The trials of one or several results folders, finished or still running.

    A folder is read from its records; where it has none, as in a copy of the frames alone, from `trials.parquet` or
    `trials.csv`. A record that cannot be read is a row with status "damaged". Several folders that hold the same trial
    give one row; the column `study` says from which.

    Trials of an older recipe than the newest (the column `recipe`) are left out, with a warning.

    running: include trials that have not ended yet, as the live page shows them. recipe: of whose trials alone.

    Raises `ValueError` if a path is not a results folder, or if no trial has ended.
    """
    found = loading.load(*paths, running=running, recipe=recipe)
    return Study(found.trials, found.epochs, found.folders)


@dataclass(frozen=True, eq=False, repr=False)
class Study(frames.Study):
    """The trials of one or several results folders, one row per trial; `analysis.load` makes it."""

    def __dir__(self) -> list[str]:
        return _public(self)

    def _repr_html_(self) -> str:
        question = f"<p><i>{escape(self.question)}</i></p>" if self.question else ""
        cells = self.cells(("base_accuracy", "augmented_accuracy"))
        return f"<p><b>{escape(repr(self)[1:-1])}</b></p>{question}{cells.to_html(max_rows=16, na_rep='–')}"

    def table1(self) -> pd.DataFrame:
        """Table 1 of the paper with our numbers beside it, a row per cell."""
        from analysis.tables.table1 import table1

        return table1(self)

    def verdicts(self) -> pd.DataFrame:
        """What the study says of each claim of the paper."""
        from analysis.inference.verdicts import as_frame, judge

        return as_frame(judge(self))

    def best(self, metric: str | None = None) -> Trial:
        """The trial that stands for the best cell: of its seeds the one nearest to their mean, not the luckiest.

        metric: of accuracies the highest mean of a cell is the best, of losses, errors and seconds the lowest; by
        default a search's objective, or the accuracy on augmented images, of validation where there are any. Raises
        `ValueError` where no trial has finished or has it, and for any other column.
        """
        from analysis.figures.drawing.representatives import ranked_by

        is_cost = metric is not None and metric.endswith(LOWEST_IS_BEST)
        name, sign = (metric, -1 if is_cost else 1) if metric is not None else ranked_by(self)
        frames.check_column(self.trials, name)
        if not pd.api.types.is_numeric_dtype(self.trials[name]):
            raise ValueError(f"`{name}` is not numeric; give a metric, see `study.columns()`")
        if metric is not None and not is_cost and "accuracy" not in metric:
            raise ValueError(f"whether a high or a low `{name}` is best is not known; see `study.cells([{name!r}])`")
        known = without_ceilings(self.finished[self.finished[name].notna()])
        if known.empty:
            raise ValueError(f"no finished trial has `{name}`; see `study.trials`")
        values = sign * known[name].astype("float64")
        means = values.groupby([known[factor] for factor in self.cell_factors()], dropna=False).transform("mean")
        own = values[means == means.max()]
        return self.trial(str(known.loc[(own - means.max()).abs().idxmin(), "key"]))

    def trial(self, key: str) -> Trial:
        """The trial whose key is, or begins with, `key`. Raises `ValueError` if none or several do."""
        found = super().trial(key)
        return Trial(found.key, found.row, found.results, self)

    def figure(self, name: str) -> Figure:
        """A figure of the report, such as "effects" or "accuracy_by_cell".

        Raises `ValueError` for a name that is none, and if the study does not support the figure.
        """
        from analysis import figures

        if name not in figures.ALL:
            near = difflib.get_close_matches(name, figures.ALL, n=1)
            hint = f"did you mean `{near[0]}`? " if near else ""
            raise ValueError(f"`{name}` is not a figure; {hint}it must be one of {', '.join(figures.ALL)}")
        return _figures(self, name)[0]

    def show(self) -> Figure:
        """The accuracy of each cell, with intervals."""
        return self.figure("accuracy_by_cell")


@dataclass(frozen=True, eq=False, repr=False)
class Trial(one.Trial):
    """A trial of a study, `study`; `study.trial(key)` and `study.best()` make it."""

    study: Study

    def __dir__(self) -> list[str]:
        return _public(self)

    def __repr__(self) -> str:
        return f"<Trial {self.key}: {self._words()}>"

    def _words(self) -> str:
        label = cell_label(self.row, self.study.cell_factors()) if pd.notna(self.row["model"]) else "damaged"
        accuracies = [
            f"{percent(self.row[f'{name}_accuracy'])} {name}"
            for name in TEST_SETS
            if pd.notna(self.row[f"{name}_accuracy"])
        ]
        return ", ".join([f"{label}, seed {self.row['seed']}", str(self.row["status"]), *accuracies])

    def _repr_html_(self) -> str:
        # What it cost and where it ran, and the metrics beside these, are in `row`.
        shown = self.row[[*frames.MAIN_METRICS, *CONFIG_NAMES]]
        settings = shown[shown.notna()].rename("value").to_frame()
        return f"<p><b>Trial {escape(self.key)}</b>: {escape(self._words())}</p>{settings.to_html()}"

    def reconstructions(self) -> Figure:
        """One image of each class from both test sets, and what the trial makes of it.

        Raises `ValueError` if the trial has no weights or decoder, or the images are not on this machine.
        """
        from analysis.figures.drawing import image_grids as grids
        from analysis.figures.drawing import style
        from analysis.figures.drawing.sources import Sources
        from analysis.figures.images import reconstructions

        source = Sources(self._alone())
        with style.applied():
            frame = reconstructions.numbers(source.images(self.config), {"reconstruction": self.model()})
            figure = style.new_figure(grids.grid_height(4, frame["class"].nunique()))
            reconstructions.draw(figure.add_subplot(), frame)
        return _shown(figure)

    def show(self) -> Figure:
        """Its confusion matrices. Raises `ValueError` if its predictions are not there."""
        return _figures(self._alone(), "confusion")[0]

    def _alone(self) -> Study:
        return self.study.where(key=self.key)


def _figures(study: Study, name: str) -> list[Figure]:
    from analysis import figures
    from analysis.figures.drawing import style

    with style.applied():
        found = figures.ALL[name](figures.Sources(study))
        for drawn in found:
            style.write_title(drawn.figure, figures.title_of(drawn, study))
        return [_shown(drawn.figure) for drawn in found]


def _shown(figure: Figure) -> Figure:
    """The figure, which a notebook shows although pyplot has not made it."""
    figure._repr_png_ = functools.partial(_png, figure)  # type: ignore[attr-defined]
    return figure


def _png(figure: Figure) -> bytes:
    from analysis.figures.drawing import style

    buffer = io.BytesIO()
    with style.applied():
        figure.savefig(buffer, format="png", dpi=130, bbox_inches="tight")
    return buffer.getvalue()


def _public(item: Any) -> list[str]:
    names = {name for kind in type(item).__mro__ for name in vars(kind)} | set(vars(item))
    return sorted(name for name in names if not name.startswith("_"))
