"""The record format, shared by the run that continues from a record and by the tables that read it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tivae.io import files, sealed_json
from tivae.io.files import DamagedFile

RECORD = "record.json"
# Of a trial that has begun and has no record yet.
RUNNING = "running.json"
CHECKPOINT = "checkpoint.pt"

FORMAT = 1
KINDS = ("trial", "training", "stn")
# Of records written before they named their recipe (`config.RECIPE`).
FIRST_RECIPE = 1
_STATUSES = ("finished", "failed", "pruned")

# Names and types of a record's parts; `measures`, of a finished trial, is left out by earlier versions.
Record = dict[str, Any]


class NewerRecord(ValueError):
    """A record of a format that this version does not know: nothing of it may be computed again or replaced."""


def read(folder: Path, *, is_own: bool = True) -> Record:
    """The record in `folder`, of whichever format, in the present one.

    is_own: whether it must have the folder's name as its key, as in a study.

    Raises `FileNotFoundError`; `DamagedFile`, which names the file, if there is none that can be used, or one of
    other work; and `NewerRecord`.
    """
    path = folder / RECORD
    try:
        found = sealed_json.parse(files.read(path), path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedFile(f"{path} can't be read ({error.strerror})") from error
    _check(found, path, folder.name if is_own else None)
    found.setdefault("recipe", FIRST_RECIPE)
    return found


def _check(record: Mapping[str, Any], path: Path, key: str | None) -> None:
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
    if type(record.get("recipe", FIRST_RECIPE)) is not int:
        raise DamagedFile(f"{path}: `recipe` is {_short(record['recipe'])}; it must be a whole number")
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
