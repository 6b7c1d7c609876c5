"""A study as one page to send to a colleague: `python -m analysis.report results/paper_grid`."""

from analysis.report.writing import write

__all__ = ["write"]
