"""`python -m analysis.report RESULTS`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.command_line import command_line
from analysis.report.writing import write


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code is 0, or 2 where there is nothing to report or to write to."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description="Write a study's report.")
    parser.add_argument("results", type=Path, help="a results folder, such as results/paper_grid")
    parser.add_argument("--output", type=Path, help="folder for the report; default: RESULTS/report")
    parser.add_argument("--no-figures", action="store_true", help="tables and verdicts only, in seconds")
    options = parser.parse_args(arguments)
    page = write(options.results, options.output, figures=not options.no_figures)
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
