"""A study's folder on storage: one run at a time in it, and dataframes that follow its records."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import analysis
from analysis.frames.records import write_index
from tivae.io import files
from tivae.io.files import LinkedFolder

# Seconds between two rewrites of the dataframes while trials end; always rewritten at the end.
FRAMES_INTERVAL = 60.0
# Of the time, at most, that is spent on them: in a study of thousands of trials a rewrite takes a while.
FRAMES_SHARE = 0.05
LOCK = ".lock"


class FolderError(ValueError):
    """A results folder that can't be used."""


@contextlib.contextmanager
def opened(results: Path, name: str) -> Iterator[Path]:
    """The folder of the study `name`, made where it is missing, held by this process alone.

    Raises `FolderError` if it can't be written, or if another process runs the same study.
    """
    study = results / name
    try:
        study.mkdir(parents=True, exist_ok=True)
        files.check_folder(study)
        lock = _opened_lock(study / LOCK)
    except LinkedFolder as error:
        raise FolderError(str(error)) from error
    except OSError as error:
        raise FolderError(
            f"the results folder {study} can't be written ({error.strerror}); choose another with --results-dir"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            owner = lock.read(200).strip() or "another process"
            raise FolderError(
                f"{study} is being filled by {owner}; wait for it, or choose another --name (if that machine is gone, "
                f"remove {study / LOCK})"
            ) from error
        except OSError as error:
            raise FolderError(
                f"{study} is on a file system without locks ({error.strerror}); give --results-dir a folder of this "
                "machine, and this one as --storage"
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        yield study


def _opened_lock(path: Path) -> TextIO:
    """The regular file `path`, made where it is missing, for reading and writing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FolderError(f"{path} is not a regular file; remove it")
    return open(descriptor, "a+")


class Frames:
    """The `trials` and `epochs` dataframes of a study, kept up with its records."""

    def __init__(self, study: Path):
        self._study = study
        self._written = time.monotonic()
        self._took = 0.0

    def update(self) -> None:
        """Rewrites both if they have not been for a while: a minute, or longer where it takes long."""
        if time.monotonic() - self._written >= max(FRAMES_INTERVAL, self._took / FRAMES_SHARE):
            self.write()

    def write(self) -> analysis.Study | None:
        """Rewrites both and returns them; None if no trial has ended yet."""
        started = time.monotonic()
        try:
            study = analysis.load(self._study)
        except ValueError:
            return None
        else:
            analysis.write(study, self._study)
            write_index(self._study)
            return study
        finally:
            self._written = time.monotonic()
            self._took = self._written - started
