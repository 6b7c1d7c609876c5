"""Table 1 for a terminal, within its width."""

from __future__ import annotations

import contextlib

from analysis import formats
from analysis.figures.drawing.saving import NotSupported
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.study import Study
from analysis.tables.accuracy import every_cell
from analysis.tables.table1 import paper_table, table1

# Short forms: the full words take a third of the line.
MODELS = {"vae": "VAE", "categorical_vae": "cat. VAE"}


def summary(study: Study, width: int) -> str:
    """Table 1 beside the paper's where most trials are in its cells or none has finished, else a table of the cells."""
    if study.finished.empty or 2 * table1(study)["seeds"].sum() >= len(study.finished):
        return table1_terminal(study, width)
    with contextlib.suppress(NotSupported):
        return every_cell(study).table.text(width)
    return formats.text(study.cells().round(4))


def table1_terminal(study: Study, width: int = formats.TERMINAL_WIDTH) -> str:
    """Table 1 beside the paper's as text of this width; where both test sets do not fit, of the augmented one alone."""
    tables = (paper_table(study, sets, MODELS).text(max(width, 40)) for sets in (TEST_SETS, ("augmented",)))
    whole = next(tables)
    return whole if max(map(len, whole.splitlines())) <= width else next(tables)
