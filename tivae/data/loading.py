"""Images on the host: found or fetched once per machine, verified each time they are read."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from tivae.data import catalogue, own_images
from tivae.data.formats import idx_arrays
from tivae.data.image_set import Arrays, DataError, File, Images, ImageSet, Source, UnavailableError, checked
from tivae.io import files
from tivae.io.files import DamagedFile


def load(images: ImageSet | None = None, folder: str | Path | None = None, *, download: bool = True) -> Images:
    """The images of a data set (Fashion-MNIST unless given), verified by the digests of its files.

    Searched in this order: `folder`, the folder in the environment variable TIVAE_DATA, the cache, and the data set's
    sources (downloads only with `download`). A named folder is only read, and then no other place is searched. What a
    source gives is cached, replacing damaged files. If several processes find no cache at once, one fetches and the
    others wait. Your own images are read in place.

    Raises `DataError` if the named folder does not have the right files, or no place has them.
    """
    images = catalogue.known()[catalogue.DEFAULT] if images is None else images
    named = folder if folder is not None else os.environ.get("TIVAE_DATA") or None
    place = None if named is None else Path(os.path.expanduser(named))
    if images.origin.startswith("/"):
        return own_images.load(images, place)
    if images.origin:
        images = _with_files(images)
    if place is not None:
        try:
            return _images(_read(place, images), images, "folder")
        except UnavailableError as problem:
            unnamed = "leave TIVAE_DATA unset" if folder is None else "name no folder"
            raise DataError(f"{problem}; {_remedy(images)} there, or {unnamed} to have them fetched") from None
    sources = [source for source in images.sources if download or not callable(source.place)]
    cache = cache_folder(images)
    try:
        return _images(_read(cache, images), images, "cache")
    except UnavailableError as problem:
        return _fill(cache, replace(images, sources=tuple(sources)), problem)


def cache_folder(images: ImageSet) -> Path:
    """`tivae/fashion-mnist`, say, in the user's folder for caches: XDG_CACHE_HOME, else `~/.cache`."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    name = images.name.replace("_", "-")
    if os.path.isabs(given):
        return Path(given) / "tivae" / name
    try:
        return Path.home() / ".cache" / "tivae" / name
    except RuntimeError:
        raise DataError(
            f"this user has no home folder to cache {images.title} in; set XDG_CACHE_HOME to a writable folder"
        ) from None


def _with_files(images: ImageSet) -> ImageSet:
    """The object outside the repository whose facts a config has, under the name that the config gives it."""
    found = catalogue.elsewhere(images.origin)
    if found.sha256 != images.sha256:
        rule = "name it as `dataset` again, which makes other trials"
        raise DataError(f"{images.origin} is another data set now than when it was named {images.name}; {rule}")
    return replace(found, name=images.name)


def _remedy(images: ImageSet) -> str:
    packed = "" if all(_is_packed(file) for file in images.files) else " (or the same as .gz)"
    return f"put {images.title}'s {', '.join(file.name for file in images.files)}{packed}"


def _images(contents: Mapping[str, bytes], images: ImageSet, source: str) -> Images:
    """Raises `UnavailableError` if the verified files are not what the data set says of itself."""
    arrays: Arrays = (images.read or idx_arrays)(contents)
    return Images(*checked(arrays, images), source=source, dataset=images.name)


def _read(folder: Path, images: ImageSet) -> dict[str, bytes]:
    """The verified content of each file; raises `UnavailableError` with the first thing that is wrong."""
    try:
        if not folder.is_dir():
            raise UnavailableError(f"there is no folder {folder}")
        return {file.name: _verified(_path(folder, file, images), file, images) for file in images.files}
    except OSError as problem:
        raise UnavailableError(f"{problem.filename or folder} cannot be read ({problem.strerror})") from None


def _path(folder: Path, file: File, images: ImageSet) -> Path:
    """Also finds torchvision's layout, whether `folder` is its root or the data set's own folder."""
    of_torchvision = [folder / images.folder_name / "raw"] if images.folder_name else []
    for place in (*of_torchvision, folder, folder / "raw"):
        for path in (place / file.name, place / f"{file.name}.gz"):
            if path.exists() and not (path.suffix == ".gz" and _is_packed(file) and path.name != file.name):
                return path
    raise UnavailableError(f"{folder} holds no {file.name}")


def _is_packed(file: File) -> bool:
    return file.name.endswith((".gz", ".zip", ".npz"))


def _verified(path: Path, file: File, images: ImageSet) -> bytes:
    try:
        # A folder of data sets may well be made of links.
        content = files.read(path, file.most_bytes, follow=True)
        if path.name != file.name:
            content = files.unzipped(content, path, file.most_bytes)
    except DamagedFile as problem:
        raise UnavailableError(str(problem)) from None
    algorithm, _, digest = file.digest.partition(":")
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != digest:
        shown = "SHA-256" if algorithm == "sha256" else algorithm.upper()
        digests = f"have {shown} {found[:12]}..., not {digest[:12]}..."
        raise UnavailableError(f"{path} is not {images.title}'s file (its {len(content):,} bytes {digests})")
    return content


def _fill(cache: Path, images: ImageSet, cache_problem: UnavailableError) -> Images:
    tried = f"cache: {cache_problem}"
    with contextlib.ExitStack() as stack:
        try:
            work = stack.enter_context(_locked_work_folder(cache))
        except OSError as problem:
            tried += f", and nothing can be written there ({problem.strerror}), so nothing is downloaded"
            local = tuple(source for source in images.sources if not callable(source.place))
            return _first(replace(images, sources=local), cache, tried)[0]
        # Another process may have filled the cache while this one waited for the lock.
        with contextlib.suppress(UnavailableError):
            return _images(_read(cache, images), images, "cache")
        found, contents = _first(images, work, tried)
        # On a full disk the verified bytes in memory still serve this process.
        with contextlib.suppress(OSError):
            _keep(contents, cache, work)
        return found


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


def _first(images: ImageSet, work: Path, tried: str) -> tuple[Images, dict[str, bytes]]:
    """Images and files of the first source that has the right ones; `tried` opens the error's list."""
    problems = [tried]
    announced = False
    for number, source in enumerate(images.sources):
        if callable(source.place) and not announced:
            size = f" ({images.download_megabytes} MB)" if images.download_megabytes else ""
            print(f"Fetching {images.title}{size} ...", file=sys.stderr, flush=True)
            announced = True
        try:
            contents = _read(_place(source, images, work / str(number)), images)
            return _images(contents, images, source.name), contents
        except UnavailableError as problem:
            problems.append(f"{source.name}: {problem}")
        except OSError as problem:
            problems.append(f"{source.name}: {problem.strerror or problem}")
    raise DataError(
        f"{images.title} is not here and cannot be fetched ({'; '.join(problems)}); "
        f"{_remedy(images)} into a folder and set TIVAE_DATA to it"
    )


def _place(source: Source, images: ImageSet, empty: Path) -> Path:
    if not callable(source.place):
        return source.place
    empty.mkdir()
    return source.place(images.files, empty)


def _keep(contents: Mapping[str, bytes], cache: Path, work: Path) -> None:
    """Readers take no lock: they see each file whole, the old one or the new one."""
    for name, content in contents.items():
        (work / name).write_bytes(content)
        os.replace(work / name, cache / name)
