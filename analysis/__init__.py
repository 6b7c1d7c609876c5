"""From results folders to frames, tables and statements: `analysis.load("results/paper_grid").trials`."""

from analysis.columns import COLUMNS, Column, columns_markdown
from analysis.frames import Study, load, write
from analysis.trial import Trial

__all__ = ["COLUMNS", "Column", "Study", "Trial", "columns_markdown", "load", "write"]
