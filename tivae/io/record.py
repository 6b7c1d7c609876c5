"""What a record must be, for all that read one: the run that would continue from it, and the tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tivae.io.files import DamagedFile

FORMAT = 1
KINDS = ("trial", "training", "stn")
_STATUSES = ("finished", "failed", "pruned")


class NewerRecord(ValueError):
    """A record of a format that this version does not know: nothing of it may be computed again or replaced."""


def check(record: Mapping[str, Any], path: Path, *, key: str | None = None) -> None:
    """Raises `DamagedFile` with `path` where `record` is none, or one of other work than `key`; `NewerRecord`.

    key: the name of its folder, unless it may lie anywhere.
    """
    found = record.get("format")
    if type(found) is int and found > FORMAT:
        raise NewerRecord(
            f"{path} has format {found}, which a newer version has written; this one knows formats up to {FORMAT}: "
            "update it, or use another results folder"
        )
    if found != FORMAT or record.get("kind") not in KINDS:
        kind = _short(record.get("kind"))
        raise DamagedFile(f"{path} has format {_short(found)}, kind {kind}; it must have format {FORMAT}, kind 'trial'")
    if key is not None and record.get("key") != key:
        raise DamagedFile(f"{path} has key {_short(record.get('key'))}; its folder says {key}")
    if record.get("status") not in _STATUSES:
        raise DamagedFile(f"{path} has no status")
    for name in ("config", "metrics", "provenance"):
        if not isinstance(record.get(name), dict):
            raise DamagedFile(f"{path}: `{name}` is {_short(record.get(name))}; it must be an object")
    if not record["config"]:
        raise DamagedFile(f"{path} has an empty config")
    rows = record.get("epochs")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DamagedFile(f"{path}: `epochs` is {_short(rows)}; it must be a list of objects")
    for section, values in (("metrics", record["metrics"]), *(("epochs", row) for row in rows)):
        for name, value in values.items():
            if type(value) is float and not math.isfinite(value):
                raise DamagedFile(f"{path}: `{section}.{name}` is {value}; it must be a finite number")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
