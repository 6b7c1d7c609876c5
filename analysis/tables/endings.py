"""Trials that failed, and damaged records."""

from __future__ import annotations

import pandas as pd

from analysis.figures.drawing.saving import NotSupported
from analysis.formats import Table
from analysis.frames.labels import cell_label
from analysis.frames.study import PAPER_FACTORS, Study
from analysis.tables.study_table import StudyTable


def failures(study: Study) -> StudyTable:
    """Trials that failed, and records that can't be read, with their reasons; a pruned trial did not fail."""
    rows = study.trials[study.trials["status"].isin(["failed", "damaged"])]
    if rows.empty:
        raise NotSupported("no trial failed")
    frame = rows[["key", "status", "error", *PAPER_FACTORS, "seed"]].reset_index(drop=True)
    named = [cell_label(row) if pd.notna(row["model"]) else None for _, row in rows.iterrows()]
    seeds = [str(seed) if pd.notna(seed) else None for seed in rows["seed"]]
    texts = pd.DataFrame({"key": frame["key"], "trial": named, "seed": seeds, "status": frame["status"]})
    texts["error"] = frame["error"]
    return StudyTable("failures", frame, Table("Failures", (("", texts, []),), label="tab:failures"))
