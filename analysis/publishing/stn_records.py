"""The records of a study's pretrained STNs, which a copy has beside those of its trials."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.frames.study import Study
from tivae.io import record, sealed_json
from tivae.io.files import DamagedFile

FOLDER = "stns"


def of(study: Study) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and record of each pretrained STN in the study's folders; what can't be read is left out."""
    for results in study.folders.values():
        for folder in sorted((results / FOLDER).glob("*")):
            try:
                found = record.read(folder)
            except (OSError, DamagedFile, record.NewerRecord):
                continue
            yield folder.name, found


def seconds_of_stns(study: Study) -> dict[str, float]:
    """Seconds of each pretraining, by the STN's key."""
    return {key: float(found["provenance"]["wall_seconds"]) for key, found in of(study)}


def copy(study: Study, folder: Path) -> None:
    """Writes each record to `folder`/stns/KEY, without the name of the machine and the place of images."""
    for key, found in of(study):
        origin = found["provenance"] | {"host": ""}
        content = found | {"config": without_place(found["config"]), "provenance": origin}
        sealed_json.write(folder / FOLDER / key / "record.json", content)


def without_place(config: dict[str, Any]) -> dict[str, Any]:
    """A config whose own images are named by their file, which says nothing of where it lay; keys stay as they are."""
    facts = json.loads(config.get("dataset_facts") or "{}")
    origin = str(facts.get("origin", "")) if isinstance(facts, dict) else ""
    if not origin.startswith("/"):
        return config
    named = json.dumps(facts | {"origin": f"/{Path(origin).name}"}, sort_keys=True, separators=(",", ":"))
    return config | {"dataset_facts": named}
