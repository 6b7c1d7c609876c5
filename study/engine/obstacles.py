"""Known reasons for which Ray can't start on this machine."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# Of a socket's path, its end included.
_LONGEST = 107 if sys.platform.startswith("linux") else 103
_SOCKET = "ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
_NEEDED_BYTES = 8 * 2**20


def obstacle() -> str | None:
    """The cause and its remedy, on one line; None if none is known."""
    place = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")  # nosec B108 (as Ray has it)
    if len(os.fsencode(place / _SOCKET)) > _LONGEST:
        most = _LONGEST - len(_SOCKET) - 1
        return (
            f"the folder for temporary files, {place}, has too long a path; set TMPDIR to one of at most {most} bytes"
        )
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(_NEEDED_BYTES))
            file.flush()
    except OSError as error:
        why = error.strerror or type(error).__name__
        return (
            f"nothing can be written to the folder for temporary files, {place} ({why}); make room there, or set TMPDIR"
        )
    return None
