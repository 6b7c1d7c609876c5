"""Fashion-MNIST on the host: found or fetched once per machine, verified each time it is read."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tivae.data.fetching import SOURCES, Source, UnavailableError
from tivae.io import files
from tivae.io.files import DamagedFile

# More than any of the files has, unpacked.
MAXIMUM_BYTES = 64 * 2**20

CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

# Of the unpacked files: Debian rewrites the headers of the .gz files, so that the official MD5s do not hold
# there. (With the official headers put back its files have the official MD5s: the content is the same.)
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


class DataError(ValueError):
    """The data cannot be had; the message is one line with what is wrong, the rule and the remedy."""


@dataclass(frozen=True, eq=False)
class FashionMNIST:
    """Images (N, 28, 28), 0 the background, 255 the brightest; labels (N,), indices into `CLASS_NAMES`.

    All arrays are uint8 and read-only. `source` says where they come from: folder (the user's), cache, or
    the name of a source (debian, torchvision, debian package).
    """

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.uint8]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.uint8]
    source: str


def load(
    folder: str | Path | None = None,
    *,
    sources: Sequence[Source] = SOURCES,
    sha256: Mapping[str, str] = SHA256,
) -> FashionMNIST:
    """The 60,000 training and 10,000 test images, verified against `sha256`.

    They come from `folder`, else the folder that the environment variable TIVAE_DATA names, else the cache,
    else the first of `sources` that has them. Where a folder is named it is only read, and no other place is
    tried. What a source gives is kept in the cache; damaged files there are replaced. Of several processes
    that find no cache at the same time one fetches while the others wait.

    Raises `DataError` where the named folder has not the right files, or no place has them.
    """
    named = folder if folder is not None else os.environ.get("TIVAE_DATA") or None
    if named is not None:
        try:
            return _dataset(_read(Path(os.path.expanduser(named)), sha256), "folder")
        except UnavailableError as problem:
            unnamed = "leave TIVAE_DATA unset" if folder is None else "name no folder"
            raise DataError(f"{problem}; {_HAND_OVER} there, or {unnamed} to have them fetched") from None
    cache = cache_folder()
    try:
        return _dataset(_read(cache, sha256), "cache")
    except UnavailableError as problem:
        return _fill(cache, sources, sha256, cache_problem=problem)


_HAND_OVER = f"put Fashion-MNIST's {', '.join(SHA256)} (or the same as .gz)"


def cache_folder() -> Path:
    """`tivae/fashion-mnist` in the user's folder for caches: XDG_CACHE_HOME, else `~/.cache`."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):
        return Path(given) / "tivae" / "fashion-mnist"
    try:
        return Path.home() / ".cache" / "tivae" / "fashion-mnist"
    except RuntimeError:
        raise DataError(
            "this user has no home folder to cache Fashion-MNIST in; set XDG_CACHE_HOME to a writable folder"
        ) from None


def _read(folder: Path, sha256: Mapping[str, str]) -> dict[str, bytes]:
    """The verified content of each file; raises `UnavailableError` with the first thing that is wrong."""
    try:
        if not folder.is_dir():
            raise UnavailableError(f"there is no folder {folder}")
        return {name: _verified(_path(folder, name), digest) for name, digest in sha256.items()}
    except OSError as problem:
        raise UnavailableError(f"{problem.filename or folder} cannot be read ({problem.strerror})") from None


def _path(folder: Path, name: str) -> Path:
    """Also finds what torchvision lays out, whether `folder` is its root or its `FashionMNIST` folder."""
    for place in (folder, folder / "FashionMNIST" / "raw", folder / "raw"):
        for path in (place / name, place / f"{name}.gz"):
            if path.exists():
                return path
    raise UnavailableError(f"{folder} holds no {name}")


def _verified(path: Path, digest: str) -> bytes:
    try:
        # A folder of data sets may well be made of links.
        content = files.read(path, MAXIMUM_BYTES, follow=True)
        if path.suffix == ".gz":
            content = files.unzipped(content, path, MAXIMUM_BYTES)
    except DamagedFile as problem:
        raise UnavailableError(str(problem)) from None
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise UnavailableError(
            f"{path} is not Fashion-MNIST's file (its {len(content):,} bytes have SHA-256 {found[:12]}..., "
            f"not {digest[:12]}...)"
        )
    return content


def _dataset(contents: Mapping[str, bytes], source: str) -> FashionMNIST:
    return FashionMNIST(
        train_images=_array(contents["train-images-idx3-ubyte"]),
        train_labels=_array(contents["train-labels-idx1-ubyte"]),
        test_images=_array(contents["t10k-images-idx3-ubyte"]),
        test_labels=_array(contents["t10k-labels-idx1-ubyte"]),
        source=source,
    )


def _array(content: bytes) -> npt.NDArray[np.uint8]:
    """The array of an idx file: two zero bytes, type, number of axes, the length of each, the values."""
    axes = content[3]
    shape = struct.unpack_from(f">{axes}I", content, offset=4)
    # A view of bytes: read-only, and nobody can make it writable.
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _fill(
    cache: Path, sources: Sequence[Source], sha256: Mapping[str, str], cache_problem: UnavailableError
) -> FashionMNIST:
    tried = f"cache: {cache_problem}"
    with contextlib.ExitStack() as stack:
        try:
            work = stack.enter_context(_locked_work_folder(cache))
        except OSError as problem:
            tried += f", and nothing can be written there ({problem.strerror}), so nothing is downloaded"
            local = [source for source in sources if not callable(source.place)]
            return _dataset(*_first(local, cache, sha256, tried))
        # Another process may have filled the cache while this one waited for the lock.
        with contextlib.suppress(UnavailableError):
            return _dataset(_read(cache, sha256), "cache")
        contents, name = _first(sources, work, sha256, tried)
        # On a full disk the verified bytes in memory still serve this process.
        with contextlib.suppress(OSError):
            _keep(contents, cache, work)
        return _dataset(contents, name)


@contextlib.contextmanager
def _locked_work_folder(cache: Path) -> Iterator[Path]:
    """An empty folder in the cache, held by one process at a time; raises `OSError` where it cannot be made.

    The lock belongs to the open file, so the system lifts it when its holder dies.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left_behind in cache.glob("fetching-*"):
            shutil.rmtree(left_behind, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache, ignore_cleanup_errors=True) as work:
            yield Path(work)


def _first(
    sources: Sequence[Source], work: Path, sha256: Mapping[str, str], tried: str
) -> tuple[dict[str, bytes], str]:
    """Contents and name of the first source that has the right files; `tried` opens the error's list."""
    problems = [tried]
    announced = False
    for source in sources:
        if callable(source.place) and not announced:
            print("Fetching Fashion-MNIST (31 MB) ...", file=sys.stderr, flush=True)
            announced = True
        try:
            return _read(_place(source, work), sha256), source.name
        except UnavailableError as problem:
            problems.append(f"{source.name}: {problem}")
        except OSError as problem:
            problems.append(f"{source.name}: {problem.strerror or problem}")
    raise DataError(
        f"Fashion-MNIST is not here and cannot be fetched ({'; '.join(problems)}); "
        f"{_HAND_OVER} into a folder and set TIVAE_DATA to it"
    )


def _place(source: Source, work: Path) -> Path:
    if not callable(source.place):
        return source.place
    empty = work / source.name.replace(" ", "-")
    empty.mkdir()
    return source.place(empty)


def _keep(contents: Mapping[str, bytes], cache: Path, work: Path) -> None:
    """Readers take no lock: they see each file whole, the old one or the new one."""
    for name, content in contents.items():
        (work / name).write_bytes(content)
        os.replace(work / name, cache / name)
