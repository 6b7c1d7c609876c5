"""Compiles the kernels for one network's layers, once per machine, and loads them."""

from __future__ import annotations

import ctypes
import functools
import grp
import hashlib
import logging
import os
import platform
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from tivae.fields import ConfigError
from tivae.io import files
from tivae.io.files import DamagedFile
from tivae.native.kernels import Kernels, Level

# Which kernels to use; `compiled` is `native` here, and on a GPU see `tivae.models.compilation`.
VARIABLE = "TIVAE_KERNELS"
CHOICES = ("native", "torch", "compiled")
# Sums may be contracted to fused multiply-adds and not reordered: vectors of all widths then give the same bits.
# Threads are left out where the compiler has no OpenMP.
THREADS = "-fopenmp"
FLAGS = ("-O3", "-march=native", "-std=c++17", "-ffp-contract=fast", "-fPIC", "-shared")
_CODE = ("vectors.h", "level.h", "norm.h", "exports.h")
_log = logging.getLogger("tivae")


def kernels(encoder: tuple[Level, ...], decoder: tuple[Level, ...]) -> Kernels | None:
    """The kernels of an encoder and a decoder with these levels; None, with one warning, if they can't be compiled.

    None as well where the environment variable TIVAE_KERNELS is `torch`. Raises as `wanted`.
    """
    return None if wanted() == "torch" else _loaded(encoder, decoder)


def wanted() -> str:
    """The kernels that TIVAE_KERNELS asks for. Raises `ConfigError` where it is none of `CHOICES`."""
    found = os.environ.get(VARIABLE, "native")
    if found not in CHOICES:
        raise ConfigError(f"{VARIABLE} is {found!r}; it must be {', '.join(CHOICES[:-1])} or {CHOICES[-1]}")
    return found


def cache_folder() -> Path:
    """`tivae/kernels` in the user's folder for caches: XDG_CACHE_HOME, else `~/.cache`, else one of this process.

    One of this process alone, with one warning, if another user could write there: what lies there is run.

    Raises `OSError` if there is no place for files at all.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "tivae" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.resolve()
        if (place := _open_to_others(folder)) is not None:
            _tell_once(f"compiled layers are not kept, since {place} is another user's or others may write there")
            return Path(_own_folder().name)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):
        return Path(_own_folder().name)


def _open_to_others(folder: Path) -> Path | None:
    """Of `folder` and those above it the first that anyone but this user and root could put something into."""
    for place in (folder, *folder.parents):
        status = place.stat()
        if status.st_uid not in (os.geteuid(), 0):
            return place
        # In a sticky folder, as /tmp is one, only a file's owner may put another in its place.
        kept = place != folder and status.st_mode & stat.S_ISVTX
        writable = status.st_mode & (stat.S_IWOTH | (0 if _is_own_group(status.st_gid) else stat.S_IWGRP))
        if writable and not kept:
            return place
    return None


def _is_own_group(group: int) -> bool:
    """Whether it is the group that many systems make for each user alone."""
    try:
        return grp.getgrgid(group).gr_name == pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False


@functools.cache
def _tell_once(message: str) -> None:
    _log.warning(message)


@functools.cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tivae-kernels-")


@functools.cache
def _loaded(encoder: tuple[Level, ...], decoder: tuple[Level, ...]) -> Kernels | None:
    source = _source(encoder, decoder)
    try:
        return Kernels(ctypes.CDLL(str(compiled(source))))
    except (OSError, subprocess.SubprocessError) as error:
        reason = " ".join(str(error).split())
        _log.warning("training uses torch's own layers, at about two thirds of the speed (%s)", reason)
        return None


def _source(encoder: tuple[Level, ...], decoder: tuple[Level, ...]) -> str:
    lines = [f"LEVEL({x.big}, {x.big_channels}, {x.small}, {x.small_channels}, {x.stride})" for x in encoder + decoder]
    lines += [f"NORM({x.small_channels}, {x.small})" for x in encoder]
    lines += [f"NORM({x.big_channels}, {x.big})" for x in decoder[:-1]]
    code = [Path(__file__).with_name(name).read_text() for name in _CODE]
    return "\n".join([*code, *sorted(set(lines)), ""])


def find_compiler() -> str | None:
    """The C++ compiler: of the environment variable CXX, g++ or clang++; None if there is none."""
    names = [os.environ.get("CXX", ""), "g++", "clang++"]
    return next(filter(None, (shutil.which(name) for name in names if name)), None)


def compiled(source: str) -> Path:
    """The library of the C++ text `source` for this processor, from the cache where it is there as it was written.

    Raises `OSError` and `subprocess.SubprocessError` if it can't be compiled.
    """
    compiler = find_compiler()
    if compiler is None:
        raise OSError("no C++ compiler was found; install g++")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    content = "\n".join([source, *FLAGS, version, _processor()])
    folder = cache_folder()
    file = folder / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.so"
    if _is_whole(file):
        return file
    with tempfile.TemporaryDirectory(dir=folder) as workshop:
        (Path(workshop) / "kernels.cpp").write_text(source)
        for flags in ((*FLAGS, THREADS), FLAGS):
            command = [compiler, *flags, "-o", "kernels.so", "kernels.cpp"]
            done = subprocess.run(command, cwd=workshop, capture_output=True, text=True, timeout=300, check=False)
            if not done.returncode:
                break
        else:
            raise OSError(f"{compiler}: {(done.stderr.strip().splitlines() or ['failed'])[0]}")
        library = (Path(workshop) / "kernels.so").read_bytes()
    # Several processes may compile at the same time: as each library has its own digest, one is found whole at the end.
    digest = hashlib.sha256(library).hexdigest().encode()
    for path, whole in ((file, library), (_digest_file(file), digest)):
        with files.replacing(path) as written:
            os.fchmod(written.fileno(), 0o600)
            written.write(whole)
    return file


def _digest_file(file: Path) -> Path:
    return file.with_suffix(".sha256")


def _is_whole(file: Path) -> bool:
    """Whether the library is there as it was written: loading one with a hole or a flipped bit ends the process."""
    try:
        written = files.read(_digest_file(file))
        found = hashlib.sha256(files.read(file)).hexdigest().encode()
    except FileNotFoundError:
        return False
    except (OSError, DamagedFile) as error:
        _tell_once(f"{error}; it is compiled again")
        return False
    if found != written:
        _tell_once(f"{file} is damaged; it is compiled again")
    return found == written


def _processor() -> str:
    """What `-march=native` may depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()} {platform.node()}"
    telling = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(telling)}))
