"""`CITATION.cff` of a published study: a data set, of the software that made it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from analysis.frames.study import Study

ROOT = Path(__file__).resolve().parents[2]


def of(study: Study) -> str:
    """The file's text."""
    cited = software()
    last = pd.to_datetime(study.trials["finished_at"]).max()
    content = {
        "cff-version": cited["cff-version"],
        "message": "If you use these results, please cite them, and the paper that they study.",
        "type": "dataset",
        "title": title(study),
        "version": cited["version"],
        "license": cited["license"],
        **({"date-released": str(last.date())} if pd.notna(last) else {}),
        "authors": cited["authors"],
        "abstract": study.question or title(study),
        "keywords": cited["keywords"],
        "references": [
            {"type": "software", "title": cited["title"], "authors": copy.deepcopy(cited["authors"])},
            *cited["references"],
        ],
    }
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110))


def software() -> dict[str, Any]:
    """The repository's own `CITATION.cff`."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return found


def title(study: Study) -> str:
    """The title of the study's results."""
    return f"Results of the study {next(iter(study.folders))} of transformation-invariant variational autoencoders"
