"""Results folders as dataframes, tables and verdicts: `analysis.load("results/paper_grid").trials`."""

from analysis.frames.columns import COLUMNS, columns_markdown
from analysis.frames.loading import write
from analysis.frames.metric_columns import Column
from analysis.notebook import Study, Trial, load

__all__ = ["COLUMNS", "Column", "Study", "Trial", "columns_markdown", "load", "write"]
