"""Writing a report's files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import analysis
from analysis import figures as drawing
from analysis import tables
from analysis.report import content, explore, markup
from tivae.io.files import replacing

FOLDER = "report"


def write(
    results: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    figures: bool = True,
    log: Callable[[str], None] | None = None,
) -> Path:
    """Writes report.html, report.md, tables/ and, unless left out, figures/; returns the HTML file's path.

    output: the folder for them, `<results>/report` by default. log: called with the name of each group of figures
    before it is drawn.

    Raises `ValueError` if no trial has ended yet, and `OSError` if the folder can't be written.
    """
    study = analysis.load(results, running=True)
    if not study.trials["status"].isin(["finished", "failed", "damaged", "pruned"]).any():
        raise ValueError(f"{results}: no finished trial yet; run the study first, or wait for its first trial")
    folder = Path(output) if output is not None else Path(results) / FOLDER
    made, skipped = tables.all_of(study)
    for table in made:
        table.write(folder / "tables")
    drawn, not_drawn = drawing.write_all(study, folder / "figures", log=log) if figures else ([], {})
    report = content.report(study, made, skipped, drawn, not_drawn)
    page = folder / "report.html"
    with replacing(folder / "report.md") as file:
        file.write(markup.markdown(report, folder).encode())
    with replacing(page) as file:
        file.write(markup.html(report, explore.content(study, {})).encode())
    return page
