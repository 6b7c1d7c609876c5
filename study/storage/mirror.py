"""A mirror in this machine's results folder of a storage that other machines write to."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from analysis.frames.study import SCHEDULE
from study.storage.remote import Storage, StorageError
from tivae.io import files
from tivae.io.record import RECORD


class Mirror:
    """Synchronises the results folder `study` of this machine with `storage`; does nothing where both are one.

    Copies while the study runs, several files at a time. Beside records it brings and sends the study's schedule of
    interim analyses, by which every machine must judge its claims.
    """

    def __init__(self, storage: Storage, study: Path):
        self._storage, self._study = storage, study
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="mirror")
        self._pending: list[Future[None]] = []
        self._needed = not storage.is_at(study)

    def bring_all(self) -> None:
        """Brings the records that are new or have changed since they were brought, with the files beside them.

        Raises `StorageError` where the storage does not answer.
        """
        if not self._needed:
            return
        storage = self._storage
        try:
            if storage.modified(SCHEDULE) is not None:
                with files.replacing(self._study / SCHEDULE) as file:
                    file.write(storage.read(SCHEDULE))
            for part, record in storage.recorded():
                if self._is_newer(part, record):
                    self.bring(part)
            pending, self._pending = self._pending, []
            for copy in pending:
                copy.result()
        except (OSError, ValueError) as error:
            raise StorageError(
                f"--storage {storage.shown} can't be read ({storage.without_password(str(error))}); "
                "check the address and that this machine may read it"
            ) from error

    def bring(self, part: str) -> None:
        """Begins to bring the folder `part`, such as trials/KEY."""
        if self._needed:
            self._pending.append(self._pool.submit(self._storage.bring, part, self._study))

    def send(self, part: str, *names: str) -> None:
        """Sends files of the folder `part` from here."""
        if self._needed:
            self._storage.send(part, self._study, *names)

    def send_schedule(self) -> None:
        """Sends the study's schedule of interim analyses. Raises `StorageError` where that can't be."""
        if not self._needed:
            return
        try:
            self._storage.write(SCHEDULE, (self._study / SCHEDULE).read_bytes())
        except (OSError, ValueError) as error:
            raise StorageError(
                f"--storage {self._storage.shown} can't be written ({self._storage.without_password(str(error))})"
            ) from error

    def send_unfinished(self, parts: list[str]) -> None:
        """Sends the folders `parts` that this machine has and the storage has not: work begun without it."""
        for part in parts:
            if self._needed and (self._study / part).is_dir() and not self._storage.has(part):
                self._storage.send(part, self._study)

    def finish(self) -> None:
        """Waits until all is here that was begun; what failed to come is brought by the next `bring_all`."""
        pending, self._pending = self._pending, []
        for copy in pending:
            try:
                copy.result()
            except (OSError, ValueError) as error:
                logging.getLogger("tivae").warning("%s", self._storage.without_password(str(error)))

    def _is_newer(self, part: str, record: Any) -> bool:
        try:
            mine = (self._study / part / RECORD).stat()
        except OSError:
            return True
        return bool(mine.st_size != record.size or record.mtime.timestamp() > mine.st_mtime)
