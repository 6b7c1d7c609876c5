"""Tensors and plain values on disk, and the checkpoint of an unfinished training."""

from __future__ import annotations

import contextlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch

from tivae.io import files
from tivae.io.files import DamagedFile


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes tensors and plain values to `path`, atomically."""
    # To a file, torch says of a full disk only that some position is unexpected.
    written = io.BytesIO()
    torch.save(content, written)
    with files.replacing(path) as file:
        file.write(written.getbuffer())


def advance(path: Path, content: dict[str, Any]) -> None:
    """As `save`; the previous file is kept beside it as `previous(path)`, in case the new file turns out damaged."""
    with files.written(path) as temporary:
        save(temporary, content)
        # Where a second run writes to the same storage, it may have moved it already.
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, previous(path))
        os.replace(temporary, path)


def previous(path: Path) -> Path:
    """Where `advance` keeps the checkpoint before the last one."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def remove(path: Path) -> None:
    """Removes a checkpoint and the one before it, where there are any."""
    for file in (path, previous(path)):
        file.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """The content that `save` wrote, tensors on the host; no code from the file is run.

    Raises `FileNotFoundError`, and `DamagedFile` if the content can't be read.
    """
    with _whole(path) as file:
        content = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        raise DamagedFile(f"{path} holds a {type(content).__name__}; it must be a dictionary")
    return content


def check(path: Path) -> None:
    """Raises as `load` where the file is gone or is not as it was written; loads no tensor."""
    with _whole(path):
        pass


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """The file, every part as it was written; whatever else is wrong with it as it is read is raised as by `load`."""
    try:
        with files.opened(path, files.MAXIMUM_TENSOR_BYTES) as file:
            _check_sums(file)
            yield file
    except FileNotFoundError:
        raise
    # torch.load documents no errors; a cut or altered file raised UnpicklingError, RuntimeError, EOFError, KeyError ...
    except Exception as error:
        raise DamagedFile(f"{path} can't be read ({_first_line(error)})") from error


def _check_sums(file: BinaryIO) -> None:
    """Raises if a part of the file is not as it was written: torch reads a tensor with a flipped bit as it is.

    Torch stores its parts as they are. Compressed ones, or several that share bytes, could fill any memory.
    """
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as parts:
        listed = parts.infolist()
        if sum(part.file_size for part in listed) > size or any(part.compress_type for part in listed):
            raise DamagedFile("it unpacks to more than its size")
        damaged = parts.testzip()
    if damaged is not None:
        raise DamagedFile(f"its part {damaged} has another checksum than when it was written")
    file.seek(0)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
