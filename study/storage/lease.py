"""A lease on a shared storage, so that one run at a time fills a study."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from study.storage.remote import Storage, StorageError
from tivae.io import files
from tivae.io.files import LinkedFolder

NAME = ".lease"
RENEWED_SECONDS = 15.0
# A run that has not renewed its lease for so long is gone; by the storage's own clock.
VALID_SECONDS = 60.0
# For the storage's first answers: some clients try for many minutes where credentials are missing.
ANSWER_SECONDS = 60.0
_T = TypeVar("_T")


@contextlib.contextmanager
def held(storage: Storage, study: Path) -> Iterator[None]:
    """A block in which the study on `storage` is this run's alone; the storage is tested for writing first.

    study: its folder on this machine, which this process has locked. Where both are one there is nothing more to do.

    A run that has slept for so long that another has taken the study is interrupted.

    Raises `StorageError` if the storage can't be written or does not answer, or another run has the study.
    """
    if storage.is_at(study):
        yield
        return
    mine = {"host": socket.gethostname(), "process": os.getpid(), "results": str(study.resolve())}
    token = uuid.uuid4().hex
    content = json.dumps(mine | {"token": token}).encode()
    _in_time(storage, lambda: _take(storage, mine, token, content))
    over = threading.Event()

    def renew() -> None:
        while not over.wait(RENEWED_SECONDS):
            # The next time may go well; four may fail.
            with contextlib.suppress(OSError, ValueError):
                if _read(storage).get("token", token) != token:
                    print("Another run has taken the study on the storage, as this one slept", file=sys.stderr)
                    os.kill(os.getpid(), signal.SIGINT)
                    return
                storage.write(NAME, content)

    renewing = threading.Thread(target=renew, name="lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join(RENEWED_SECONDS)
        with contextlib.suppress(OSError, ValueError):
            if _read(storage).get("token") == token:
                storage.delete(NAME)


def _take(storage: Storage, mine: dict[str, Any], token: str, content: bytes) -> None:
    if storage.folder is not None:
        try:
            files.check_folder(storage.folder)
        except LinkedFolder as error:
            raise StorageError(str(error)) from error
    storage.lay_out(token)
    reason = storage.check_from_here(token, "here")
    written = storage.modified(f".probe/{token}")
    storage.answers(token)
    if reason is not None:
        raise StorageError(f"--storage {storage.shown} can't be used ({reason}); give one that this machine can write")
    other, renewed = _read(storage), storage.modified(NAME)
    # This process holds the lock of its own results folder: a lease of it is what a killed run left.
    is_own = all(other.get(name) == mine[name] for name in ("host", "results"))
    if renewed is not None and written is not None and not is_own and written - renewed < VALID_SECONDS:
        owner = f"process {other.get('process')} on {other.get('host')}"
        raise StorageError(
            f"the study on --storage {storage.shown} is being filled by {owner}; wait for it, or choose another --name "
            f"(if it was killed, its hold ends {VALID_SECONDS:.0f} s later)"
        )
    storage.write(NAME, content)
    if _read(storage).get("token") != token:
        raise StorageError(f"another run has begun to fill the study on --storage {storage.shown}; wait for it")


def _read(storage: Storage) -> dict[str, Any]:
    """The content of the lease; {} if there is none that can be read."""
    try:
        content = json.loads(storage.read(NAME))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _in_time(storage: Storage, action: Callable[[], _T]) -> _T:
    """The result of `action`, or `StorageError` if it takes too long; it is then abandoned."""
    ended: list[_T] = []
    raised: list[BaseException] = []

    def act() -> None:
        try:
            ended.append(action())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=act, name="storage", daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if raised:
        raise raised[0]
    if not ended:
        raise StorageError(
            f"--storage {storage.shown} does not answer within {ANSWER_SECONDS:.0f} s; check the address, the network "
            "and the credentials"
        )
    return ended[0]
