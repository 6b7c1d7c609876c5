"""The storage to which workers of all nodes write: a shared folder, or a URL that pyarrow's file systems know.

A worker writes to a shared folder directly. For a URL it works in a folder of its own, to which what is there already
is brought before and from which each checkpoint and record is sent, the record last.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tivae.io import files
from tivae.io.files import DamagedFile
from tivae.io.record import CHECKPOINT, RECORD, RUNNING
from tivae.io.redaction import SECRET, redacted

# Seconds to wait before another attempt, since a network fails now and then.
PAUSES = (1.0, 4.0)
# Between two checks for what another machine has written.
ARRIVAL_INTERVAL = 0.5
GCS_SECONDS = 30
_PROBE = ".probe"
_CHECKPOINTS = Path(CHECKPOINT).stem
# These show an object whole or not at all; renaming one would copy it.
_OBJECT_STORES = ("s3", "gcs", "abfs")
_T = TypeVar("_T")


class StorageError(ValueError):
    """A storage that can't be used; one line with what is wrong and the remedy."""


@dataclass(frozen=True)
class Storage:
    """The place of a study, its `trials/`, `trainings/` and `stns/`, on the storage.

    place: an absolute path, or a URL with its scheme. Picklable: a worker opens its own connection.
    """

    place: str

    @property
    def folder(self) -> Path | None:
        """The folder that all nodes share; None for a URL."""
        return None if "://" in self.place else Path(self.place)

    def is_at(self, folder: Path) -> bool:
        """Whether it is this very folder, so that nothing needs to be copied."""
        return self.folder is not None and self.folder.resolve() == folder.resolve()

    @property
    def shown(self) -> str:
        """The place without a password that its URL may hold."""
        return self.without_password(self.place)

    def without_password(self, text: str) -> str:
        """`text`, which may quote the place, on one line and fit to be shown."""
        # An error may quote the secret without the address around it.
        owner = urlsplit(self.place).netloc.rpartition("@")[0]
        return " ".join(redacted(text.replace(owner, SECRET) if owner else text).split())[:300]

    @contextlib.contextmanager
    def at_hand(self, *parts: str) -> Iterator[tuple[Path, Callable[..., None]]]:
        """A local folder for the study, holding what the storage has of its folders `parts` (such as trials/KEY).

        With it comes a function that sends files of those folders that have changed: the ones named or, without names,
        all, checkpoints and the marks of running trials that are gone here being removed there. A shared folder is
        given as it is, and nothing needs to be sent.

        Raises `OSError` where the storage does not answer.
        """
        if self.folder is not None:
            yield self.folder, lambda *_: None
            return
        with tempfile.TemporaryDirectory(prefix="tivae-", ignore_cleanup_errors=True) as scratch:
            study = Path(scratch)
            for part in parts:
                self.bring(part, study)
            there = {path: path.stat().st_mtime_ns for path in study.glob("*/*/*")}

            def send(*names: str) -> None:
                for part in parts:
                    named = [path for path in (study / part).glob("*") if not names or path.name in names]
                    found = {path: path.stat().st_mtime_ns for path in named}
                    changed = [path.name for path in named if there.get(path) != found[path]]
                    if changed:
                        self.send(part, study, *(changed if names else ()))
                        there.update(found)

            yield study, send

    def send(self, part: str, study: Path, *names: str) -> None:
        """Sends the files of `study`/`part`, all or those named, the record last."""
        paths = [path for path in (study / part).glob("*") if path.is_file() and path.name[0] != "."]
        # States before the checkpoint that takes the place of one of them.
        paths.sort(key=lambda path: (path.name == RECORD, path.name.startswith(_CHECKPOINTS), path.name))
        for path in paths:
            if not names or path.name in names:
                _patiently(functools.partial(self.write, f"{part}/{path.name}", path.read_bytes()))
        if names or not paths:
            return
        for name in self._files(part):
            # Checkpoints are of no use beside the record that they led to.
            if name.startswith((RUNNING, _CHECKPOINTS)) and not (study / part / name).exists():
                with contextlib.suppress(FileNotFoundError):
                    self._system.delete_file(f"{self._root}/{part}/{name}")

    def has(self, part: str) -> bool:
        """Whether there is any file in the folder `part`."""
        return bool(self._files(part))

    def recorded(self) -> Iterator[tuple[str, Any]]:
        """The folder of each record, such as trials/KEY, and what the file system knows of the record."""
        from pyarrow import fs

        for stage in ("trials", "trainings", "stns"):
            selector = fs.FileSelector(f"{self._root}/{stage}", allow_not_found=True, recursive=True)
            for info in self._system.get_file_info(selector):
                key = info.path.split("/")[-2]
                # On an object store a folder may have any name, such as `..`.
                if info.base_name == RECORD and key.isalnum():
                    yield f"{stage}/{key}", info

    def check_from_here(self, token: str, node: str) -> str | None:
        """Whether this machine sees what `lay_out` wrote there, and can write beside it; else why not."""
        try:
            if self.read(f"{_PROBE}/{token}") != token.encode():
                return "it holds another file there"
            self.write(f"{_PROBE}/{token}.{node}", node.encode(), make_folders=False)
        except (OSError, ValueError) as error:
            return self.without_password(str(error)) or type(error).__name__
        return None

    def lay_out(self, token: str) -> None:
        """Writes the file that `check_from_here` looks for. Raises `StorageError` where that can't be."""
        try:
            self.write(f"{_PROBE}/{token}", token.encode())
        except (OSError, ValueError) as error:
            raise StorageError(
                f"--storage {self.shown} can't be written ({self.without_password(str(error))}); "
                "give a folder or URL that this machine and all nodes can write"
            ) from error

    def answers(self, token: str, wrote: Collection[str] = (), seconds: float = 0.0) -> set[str]:
        """The nodes whose test files have arrived; removes the files.

        wrote: nodes that say that they have written, whose files are waited for, as long as `seconds`.
        """
        prefix, deadline = f"{token}.", time.monotonic() + seconds
        while True:
            found = {name.removeprefix(prefix) for name in self._files(_PROBE) if name.startswith(prefix)}
            if found.issuperset(wrote) or time.monotonic() >= deadline:
                break
            time.sleep(ARRIVAL_INTERVAL)
        # Another run may be trying the storage as well.
        with contextlib.suppress(OSError):
            for name in self._files(_PROBE):
                if name == token or name.startswith(prefix):
                    self.delete(f"{_PROBE}/{name}")
            if not self._files(_PROBE):
                self._system.delete_dir(f"{self._root}/{_PROBE}")
        return found

    def bring(self, part: str, study: Path) -> None:
        """Brings the files of the folder `part` to `study`, the record last. Raises `OSError`."""
        names = _patiently(lambda: self._files(part))
        for name in sorted(names, key=lambda name: name == RECORD):
            content = _patiently(functools.partial(self.read, f"{part}/{name}"))
            with files.replacing(study / part / name) as file:
                file.write(content)

    def _files(self, part: str) -> dict[str, Any]:
        """The files directly in `part` by name, with what the file system knows of each."""
        from pyarrow import fs

        found = self._system.get_file_info(fs.FileSelector(f"{self._root}/{part}", allow_not_found=True))
        return {info.base_name: info for info in found if info.type == fs.FileType.File and info.base_name[0] != "."}

    def read(self, name: str) -> bytes:
        """The file `name`. Raises `OSError`, and `DamagedFile` where it is not a regular file or has no bound."""
        path = f"{self._root}/{name}"
        if self._system.type_name == "local":
            return files.read(Path(path), files.MAXIMUM_TENSOR_BYTES)
        with self._system.open_input_file(path) as file:
            if file.size() > files.MAXIMUM_TENSOR_BYTES:
                raise DamagedFile(f"{name} has {file.size() / 2**20:.0f} MiB")
            content: bytes = file.read()
            return content

    def modified(self, name: str) -> float | None:
        """When the file `name` was last written, in seconds of the storage's clock; None where it is not there."""
        time = self._system.get_file_info(f"{self._root}/{name}").mtime
        return None if time is None else float(time.timestamp())

    def delete(self, name: str) -> None:
        """Removes the file `name`. Raises `OSError`."""
        self._system.delete_file(f"{self._root}/{name}")

    def write(self, name: str, content: bytes, *, make_folders: bool = True) -> None:
        """Writes the file `name`, whole or not at all. Raises `OSError`."""
        path = f"{self._root}/{name}"
        whole_at_once = self._system.type_name in _OBJECT_STORES
        folder, _, last = path.rpartition("/")
        written = path if whole_at_once else f"{folder}/{files.temporary_name(Path(last)).name}"
        if make_folders and not whole_at_once:
            self._system.create_dir(folder, recursive=True)
        with self._system.open_output_stream(written) as file:
            file.write(content)
        if written != path:
            self._system.move(written, path)

    @functools.cached_property
    def _opened(self) -> tuple[Any, str]:
        from pyarrow import fs

        if self.folder is not None:
            return fs.LocalFileSystem(), self.place
        place = self.place
        if place.startswith(("gs://", "gcs://")) and "retry_limit_seconds" not in place:
            # Unbounded by default, for many minutes where there are no credentials.
            place += f"{'&' if '?' in place else '?'}retry_limit_seconds={GCS_SECONDS}"
        system, root = fs.FileSystem.from_uri(place)
        return system, root.rstrip("/")

    @property
    def _system(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    # The connection stays in the process that made it.
    def __getstate__(self) -> dict[str, Any]:
        return {"place": self.place}


def of_study(given: str | None, study: Path) -> Storage:
    """The storage of the results folder `study`: that folder itself, or its namesake in what `--storage` says.

    Raises `StorageError` for a URL that pyarrow does not know.
    """
    if given is None:
        return Storage(str(study.resolve()))
    if not given.strip():
        raise StorageError("--storage is empty; it must be a folder, or a URL such as s3://bucket/path")
    if "://" not in given:
        return Storage(str(Path(given).expanduser().resolve() / study.name))
    url, mark, query = given.partition("?")
    storage = Storage(f"{url.rstrip('/')}/{study.name}{mark}{query}")
    try:
        if not urlsplit(given).path.strip("/") and not urlsplit(given).netloc:
            raise ValueError("it names no bucket and no path")
        assert storage._root
    except (ValueError, OSError, NotImplementedError) as error:
        raise StorageError(
            f"--storage {storage.shown} is not usable ({storage.without_password(str(error))}); "
            "it must be a folder, or a URL such as s3://bucket/path, gs://bucket/path or file:///path"
        ) from error
    return storage


def _patiently(action: Callable[[], _T]) -> _T:
    for pause in PAUSES:
        try:
            return action()
        except FileNotFoundError:
            raise
        except OSError:
            time.sleep(pause)
    return action()
