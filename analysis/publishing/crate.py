"""`ro-crate-metadata.json` of a published study (RO-Crate 1.1): its files, what made them, and where."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.frames.study import Study
from analysis.publishing.citation import software, title

NAME = "ro-crate-metadata.json"
_SPECIFICATION = "https://w3id.org/ro/crate/1.1"
_LICENCE = "https://spdx.org/licenses/MIT"
_TYPES = {".csv": "text/csv", ".md": "text/markdown", ".cff": "text/yaml", ".pt": "application/octet-stream"}
_DESCRIPTIONS = {
    "trials.csv": "A row per trial: settings, metrics, hardware, kernels and versions.",
    "epochs.csv": "A row per trial and epoch: the losses.",
    "about.json": "The command, versions and hardware.",
    "compute.md": "What it cost, and where it was computed.",
    "checklists.md": "Answers to the NeurIPS paper checklist and REFORMS that follow from the records.",
    "record.json": "A record: settings, metrics, epochs and provenance.",
    "predictions.pt": "The class that the trial's probe predicted for each test image.",
    "measures.json": "Accuracy against angle, shift and scale.",
}


def of(study: Study, command: str, paths: Iterable[Path]) -> str:
    """The file's text. paths: of all other files of the copy, relative to it."""
    cited = software()
    known = sorted(path.as_posix() for path in paths)
    times = pd.to_datetime(study.trials["finished_at"]).dropna()
    published = str(times.max().date()) if len(times) else "1970-01-01"
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": title(study),
        "description": study.question or title(study),
        "datePublished": published,
        "license": {"@id": _LICENCE},
        "author": [{"@id": "#authors"}],
        "keywords": cited["keywords"],
        "citation": [{"@id": "#paper"}],
        "hasPart": [{"@id": path} for path in known],
        "mentions": [{"@id": "#run"}],
    }
    descriptor = {"@id": NAME, "@type": "CreativeWork", "conformsTo": {"@id": _SPECIFICATION}, "about": {"@id": "./"}}
    graph = [descriptor, root, *(_file(path) for path in known)]
    graph += _context(cited, command, times)
    return json.dumps({"@context": f"{_SPECIFICATION}/context", "@graph": graph}, indent=1, ensure_ascii=False) + "\n"


def files_of(text: str) -> set[str]:
    """The paths of the files that such a text lists. Raises `ValueError` if it is none."""
    try:
        return {str(entity["@id"]) for entity in json.loads(text)["@graph"] if entity["@type"] == "File"}
    except (KeyError, TypeError) as problem:
        raise ValueError(f"it is no {NAME}") from problem


def _file(path: str) -> dict[str, Any]:
    name, suffix = Path(path).name, Path(path).suffix
    described = {"description": _DESCRIPTIONS[name]} if name in _DESCRIPTIONS else {}
    return {
        "@id": path,
        "@type": "File",
        "name": path,
        "encodingFormat": _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream",
        **described,
    }


def _context(software: dict[str, Any], command: str, times: pd.Series) -> list[dict[str, Any]]:
    """The entities that are no files: licence, authors, paper, software and the run."""
    span = {"startTime": times.min().isoformat(), "endTime": times.max().isoformat()} if len(times) else {}
    (paper,) = software["references"]
    return [
        {
            "@id": _LICENCE,
            "@type": "CreativeWork",
            "name": "MIT License",
            "description": "A permissive licence of the Massachusetts Institute of Technology.",
        },
        {"@id": "#authors", "@type": "Organization", "name": software["authors"][0]["name"]},
        {"@id": "#paper", "@type": "ScholarlyArticle", "name": paper["title"], "datePublished": str(paper["year"])},
        {
            "@id": "#software",
            "@type": "SoftwareSourceCode",
            "name": software["title"],
            "version": software["version"],
            "license": {"@id": _LICENCE},
        },
        {
            "@id": "#run",
            "@type": "CreateAction",
            "name": "The run of the study",
            "description": command,
            "instrument": {"@id": "#software"},
            "agent": {"@id": "#authors"},
            "result": [{"@id": "./"}],
            **span,
        },
    ]
