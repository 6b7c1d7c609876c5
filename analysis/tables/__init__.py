"""The tables of a study, each as a dataframe, Markdown, LaTeX and CSV.

from analysis import tables

tables.latent_size(study).table.latex()
for table in tables.all_of(study)[0]:
    table.write(folder)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from analysis.figures.drawing.saving import NotSupported
from analysis.frames.study import Study
from analysis.tables.accuracy import controls, every_cell, kl_weight, latent_size, pareto_front, stn_mode
from analysis.tables.arms import arms, ingredients
from analysis.tables.endings import failures
from analysis.tables.inference import effects, paper, seeds_needed, verdicts
from analysis.tables.interpretations import interpretations
from analysis.tables.search import search
from analysis.tables.study_table import StudyTable

__all__ = [
    "ALL",
    "NotSupported",
    "StudyTable",
    "all_of",
    "arms",
    "controls",
    "effects",
    "every_cell",
    "failures",
    "ingredients",
    "interpretations",
    "kl_weight",
    "latent_size",
    "paper",
    "pareto_front",
    "search",
    "seeds_needed",
    "stn_mode",
    "verdicts",
]

# In the order of a report.
ALL: Mapping[str, Callable[[Study], StudyTable]] = {
    "verdicts": verdicts,
    "paper": paper,
    "every_cell": every_cell,
    "arms": arms,
    "ingredients": ingredients,
    "effects": effects,
    "seeds_needed": seeds_needed,
    "latent_size": latent_size,
    "kl_weight": kl_weight,
    "stn_mode": stn_mode,
    "pareto_front": pareto_front,
    "readings": interpretations,
    "search": search,
    "controls": controls,
    "failures": failures,
}


def all_of(study: Study) -> tuple[list[StudyTable], dict[str, str]]:
    """The tables that the study supports, in order, and why each of the others is left out."""
    made, skipped = [], {}
    for name, make in ALL.items():
        try:
            made.append(make(study))
        except NotSupported as problem:
            skipped[name] = str(problem)
    return made, skipped
