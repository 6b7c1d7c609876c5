"""Table 1 for a terminal, within its width."""

from __future__ import annotations

from analysis import formats
from analysis.frames.study import Study
from analysis.frames.trial import TEST_SETS
from analysis.tables.table1 import paper_table, table1

# What a terminal has at least; narrower ones get the augmented test set alone.
WIDTH, NARROW = 79, 60
# Short forms: the full words take a third of the line.
MODELS = {"vae": "VAE", "categorical_vae": "cat. VAE"}


def summary(study: Study, width: int) -> str:
    """Table 1 beside the paper's where a trial is in a cell of it or none has finished, else a table of the cells."""
    if study.finished.empty or table1(study)["seeds"].any():
        return table1_terminal(study, width)
    return formats.text(study.cells().round(4))


def table1_terminal(study: Study, width: int = WIDTH) -> str:
    """Table 1 beside the paper's as text of this width."""
    return paper_table(study, TEST_SETS if width >= NARROW else ("augmented",), MODELS).text(max(width, 40))
