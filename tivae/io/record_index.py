"""One file with what has been read of a study's records, so that ten thousand of them are not read again and again.

An entry holds for the very file that it was read from: a record that was written again, restored or copied since has
another time of change or number on its file system, and is read. Not a format to keep: any change of what is read of
records makes it void, and without it everything is as it would be with it, more slowly.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tivae.io import files
from tivae.io.record import RECORD

NAME = "records.index"
_MAXIMUM_BYTES = 2**30
# Times of change are no finer than some milliseconds: a file that has just been written may be written again in one.
_SETTLED_NANOSECONDS = 2 * 10**9

# Of a record's file: when it was written and changed, its bytes and its number.
Signature = list[int]
Values = dict[str, list[Any]]


def signature(trial: Path | str) -> Signature | None:
    """That of the record in the folder `trial`; None if there is no regular file."""
    try:
        found = os.stat(f"{trial}/{RECORD}", follow_symlinks=False)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return [found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino]


def is_settled(of: Signature) -> bool:
    """Whether a change from now on would change the signature."""
    return time.time_ns() - of[1] > _SETTLED_NANOSECONDS


def write(folder: Path, version: str, signatures: dict[str, Signature], trials: Values, epochs: Values) -> None:
    """Replaces the index of `folder`; trials, epochs: columns, those of trials in the order of `signatures`."""
    content = {"version": version, "signatures": signatures, "trials": trials, "epochs": epochs}
    body = json.dumps(content).encode()
    with files.replacing(folder / NAME) as file:
        file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def unchanged(folder: Path, version: str, names: Sequence[str]) -> tuple[set[str], Values, Values]:
    """Of the trials `names`, those whose record is the one that was read, with their columns `trials` and `epochs`."""
    found = _read(folder, version)
    if found is None:
        return set(), {}, {}
    signatures, trials, epochs = found["signatures"], found["trials"], found["epochs"]
    present = set(names)
    kept = {key for key, of in signatures.items() if key in present and signature(folder / "trials" / key) == of}
    if len(kept) == len(signatures):
        return kept, trials, epochs
    return kept, _selected(trials, kept), _selected(epochs, kept)


def _read(folder: Path, version: str) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        digest, _, body = files.read(folder / NAME, _MAXIMUM_BYTES).partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        content: dict[str, Any] = json.loads(body)
        return content if content["version"] == version else None
    return None


def _selected(columns: Values, keys: set[str]) -> Values:
    """The rows of these trials; a column that is empty then may be of others alone."""
    positions = [position for position, key in enumerate(columns["key"]) if key in keys]
    rows = {name: [values[position] for position in positions] for name, values in columns.items()}
    return {name: values for name, values in rows.items() if any(value is not None for value in values)}
