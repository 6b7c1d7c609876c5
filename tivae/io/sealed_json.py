"""JSON files that carry a digest of themselves, so that a flipped bit is not read as a result."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from tivae.io import files
from tivae.io.files import DamagedFile

_BLANK = b"0" * 64
# The first of a file's keys, and written as here and nowhere else.
_SEAL = re.compile(rb'\A\{\n "digest": "([0-9a-f]{64})"')
# Half of a digest: what is left of one that can't be read.
_DIGITS = re.compile(rb"[0-9a-f]{31}")


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes plain values to `path`, atomically, with their digest as the key `digest`."""
    text = json.dumps({"digest": _BLANK.decode()} | content, indent=1, allow_nan=False).encode()
    digest = hashlib.sha256(text).hexdigest().encode()
    with files.replacing(path) as file:
        file.write(text.replace(_BLANK, digest, 1))


def check(raw: bytes, name: str | Path) -> None:
    """Raises `DamagedFile` with `name` if `raw` carries a digest and is not what was written."""
    sealed = _SEAL.match(raw)
    if sealed is None:
        if _DIGITS.search(raw[:120]):
            raise DamagedFile(f"{name} is damaged: its digest can't be read")
        return
    begin, end = sealed.span(1)
    blank = raw[:begin] + _BLANK + raw[end:]
    if hashlib.sha256(blank).hexdigest().encode() != sealed.group(1):
        raise DamagedFile(f"{name} is damaged: it is not what was written")


def parse(raw: bytes, name: str | Path) -> dict[str, Any]:
    """The content that `write` wrote, without the digest; a file that has none is read as it is.

    Raises `DamagedFile` with `name` if this is no JSON object, or another one than was written.
    """
    check(raw, name)
    try:
        content = json.loads(raw, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{name} is not JSON ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise DamagedFile(f"{name} holds a {type(content).__name__}; it must be an object")
    content.pop("digest", None)
    return content


def _refused(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
