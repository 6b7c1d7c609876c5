"""Files that are whole or absent, and the checkpoint of an unfinished training."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
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
    # To a file, torch says of a full disk only that some position is unexpected.
    written = io.BytesIO()
    torch.save(content, written)
    with replacing(path) as file:
        file.write(written.getbuffer())


def advance(path: Path, content: dict[str, Any]) -> None:
    """As `save`; what was there before stays beside it as `previous(path)`, in case the new file turns out damaged."""
    written = path.with_name(f".{path.name}.next")
    save(written, content)
    if path.exists():
        os.replace(path, previous(path))
    os.replace(written, path)


def previous(path: Path) -> Path:
    """Where `advance` keeps the checkpoint before the last one."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def remove(path: Path) -> None:
    """Removes a checkpoint and the one before it, where there are any."""
    for file in (path, previous(path)):
        file.unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Removes what processes that were killed have left half written in `folder`; nobody else may be writing there."""
    for file in folder.glob(".*.tmp"):
        file.unlink(missing_ok=True)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """What `save` wrote, tensors on `device`; no code from the file is run.

    Raises `FileNotFoundError`, and `DamagedFile` where the content can't be read.
    """
    try:
        _check_sums(path)
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise
    # torch.load documents no errors; a cut or altered file raised UnpicklingError, RuntimeError, EOFError, KeyError ...
    except Exception as error:
        raise DamagedFile(f"{path} can't be read ({_first_line(error)})") from error
    if not isinstance(content, dict):
        raise DamagedFile(f"{path} holds a {type(content).__name__}; it must be a dictionary")
    return content


def _check_sums(path: Path) -> None:
    """Raises where a part of the file is not as it was written: torch reads a tensor with a flipped bit as it is."""
    with zipfile.ZipFile(path) as file:
        damaged = file.testzip()
    if damaged is not None:
        raise DamagedFile(f"its part {damaged} has another checksum than when it was written")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
