"""Safe opening and atomic replacement of files in a folder that others may have filled.

A results folder may come from a stranger: a link in it could lead anywhere, a pipe would block for ever, and a file can
be of any size. So files are opened only where they are regular ones, not behind a link, and of a bounded size.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# Of a record, a status, a table or a picture.
MAXIMUM_BYTES = 16 * 2**20
# Of weights, encodings or one file of a data set.
MAXIMUM_TENSOR_BYTES = 4 * 2**30
# A temporary file of another machine so old belongs to a process that is gone.
ABANDONED_SECONDS = 3600.0
# The one link that may lie in a results folder: nobody follows it.
OPTUNA_LOCK = "optuna_journal.log.lock"


class DamagedFile(ValueError):
    """A file that can't be read, or that belongs to other work."""


class LinkedFolder(ValueError):
    """A folder in which a symbolic link would lead reads and writes elsewhere."""


def opened(path: Path, most: int = MAXIMUM_BYTES, *, follow: bool = False) -> BinaryIO:
    """The regular file `path`, open for reading, of at most `most` bytes.

    follow: whether it may be a symbolic link, as in a folder of the user's own.

    Raises `FileNotFoundError`, `DamagedFile` if it is no such file, and `OSError` if it may not be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except NotADirectoryError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EMLINK):
            what = "a symbolic link" if path.is_symlink() else "not a regular file"
            raise DamagedFile(f"{path} is {what}; it must be a regular file") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DamagedFile(f"{path} is not a regular file; it must be one")
        if status.st_size > most:
            raise DamagedFile(f"{path} has {status.st_size / 2**20:.1f} MiB; it may have {most / 2**20:g}")
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read(path: Path, most: int = MAXIMUM_BYTES, *, follow: bool = False) -> bytes:
    """The content of the regular file `path`; arguments and errors as in `opened`."""
    with opened(path, most, follow=follow) as file:
        return file.read(most)


def unzipped(content: bytes, name: str | Path, most: int) -> bytes:
    """The gzip file `content`, unpacked. Raises `DamagedFile` if it is not one, or unpacks to over `most` bytes."""
    unpacked = bytearray()
    while content:
        unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            unpacked += unpacker.decompress(content, most + 1 - len(unpacked))
        except zlib.error as error:
            raise DamagedFile(f"{name} is damaged or no gzip file ({error})") from error
        if len(unpacked) > most:
            raise DamagedFile(f"{name} unpacks to more than {most / 2**20:g} MiB")
        if not unpacker.eof:
            raise DamagedFile(f"{name} is damaged or no gzip file (it ends too early)")
        # A gzip file may have several members, and zeros behind the last.
        content = unpacker.unused_data.lstrip(b"\0")
    return bytes(unpacked)


def check_folder(folder: Path) -> None:
    """Raises `LinkedFolder` if anything below `folder`, which may be a link itself, is a symbolic link."""
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink() and entry.name != OPTUNA_LOCK:
                        raise LinkedFolder(
                            f"{entry.path} is a symbolic link, which could lead anywhere; a results folder holds "
                            "files and folders alone: put there what it links to, or remove it"
                        )
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        # A study may be writing there. What may not be read is reported where it is read.
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well, and leaves no trace when it does not."""
    with written(path) as temporary:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """A name beside `path` that no other process or thread uses; what is there at the end is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    # Of an earlier process with this number.
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """Where this thread of this process writes what shall become `path`."""
    return path.with_name(f".{path.name}.{threading.get_native_id()}.{_HOST}.{os.getpid()}.tmp")


def clear(folder: Path) -> None:
    """Removes what processes that are gone have left half written in `folder`."""
    for file in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if _is_abandoned(file):
                file.unlink()


def _is_abandoned(file: Path) -> bool:
    host, _, process = file.name.removesuffix(".tmp").rpartition(".")
    if host.endswith(f".{_HOST}") and process.isdecimal():
        return not _runs(int(process))
    return time.time() - file.lstat().st_mtime > ABANDONED_SECONDS


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


# As part of a file's name.
_HOST = "".join(letter if letter.isalnum() else "-" for letter in socket.gethostname())[:60] or "host"
