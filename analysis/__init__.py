"""Results folders as dataframes, tables and verdicts: `analysis.load("results/paper_grid").trials`."""

from analysis.frames.columns import COLUMNS, Column, columns_markdown
from analysis.frames.loading import write
from analysis.notebook import Study, Trial, load

__all__ = ["COLUMNS", "Column", "Study", "Trial", "columns_markdown", "load", "write"]
