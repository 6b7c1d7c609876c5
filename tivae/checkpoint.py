"""Files that are whole or absent, and the checkpoint of an unfinished training."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch


class DamagedFile(ValueError):
    """A file that can't be read, or that belongs to other work."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well, and leaves no trace when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes tensors and plain values to `path`, atomically."""
    with replacing(path) as file:
        torch.save(content, file)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `save` wrote, tensors on `device`; no code from the file is run.

    Raises `FileNotFoundError`, and `DamagedFile` where the content can't be read.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    # torch.load documents no errors; a cut or altered file raised UnpicklingError, RuntimeError, EOFError, KeyError ...
    except Exception as error:
        raise DamagedFile(f"{path} can't be read ({_first_line(error)})") from error
    if not isinstance(content, dict):
        raise DamagedFile(f"{path} holds a {type(content).__name__}; it must be a dictionary")
    return content


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
