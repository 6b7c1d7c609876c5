"""A report's files."""

from __future__ import annotations

import os
from pathlib import Path

import analysis
from analysis import figures as drawing
from analysis.report import content, markup
from tivae.checkpoint import replacing

FOLDER = "report"


def write(
    results: str | os.PathLike[str], output: str | os.PathLike[str] | None = None, *, figures: bool = True
) -> Path:
    """Writes report.html, report.md and, unless left out, the folder figures/; returns the HTML file's path.

    output: the folder for them, `<results>/report` by default.

    Raises `ValueError` where no trial has ended yet, and `OSError` where the folder can't be written.
    """
    study = analysis.load(results, running=True)
    if not study.trials["status"].isin(["finished", "failed", "damaged"]).any():
        raise ValueError(f"{results}: no finished trial yet; run the study first, or wait for its first trial")
    folder = Path(output) if output is not None else Path(results) / FOLDER
    drawn = drawing.write_all(study, folder / "figures") if figures else None
    report = content.report(study, drawn)
    page = folder / "report.html"
    with replacing(folder / "report.md") as file:
        file.write(markup.markdown(report, folder).encode())
    with replacing(page) as file:
        file.write(markup.html(report).encode())
    return page
