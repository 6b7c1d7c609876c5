"""Compiles the kernels for one network's layers, once per machine, and loads them."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

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
    """The kernels of an encoder and a decoder with these levels; None, told once, where they can't be compiled.

    None as well where the environment variable TIVAE_KERNELS is `torch`.
    """
    wanted = os.environ.get(VARIABLE, "native")
    if wanted not in CHOICES:
        raise ValueError(f"{VARIABLE} is {wanted!r}; it must be {', '.join(CHOICES[:-1])} or {CHOICES[-1]}")
    return None if wanted == "torch" else _loaded(encoder, decoder)


def cache_folder() -> Path:
    """`tivae/kernels` in the user's folder for caches: XDG_CACHE_HOME, else `~/.cache`, else one of this process.

    Raises `OSError` where there is no place for files at all.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "tivae" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):
        return Path(_own_folder().name)


@functools.cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tivae-kernels-")


@functools.cache
def _loaded(encoder: tuple[Level, ...], decoder: tuple[Level, ...]) -> Kernels | None:
    source = _source(encoder, decoder)
    try:
        file = compiled(source)
        try:
            return Kernels(ctypes.CDLL(str(file)))
        except OSError:
            file.unlink()
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
    """The C++ compiler: of the environment variable CXX, g++ or clang++; None where there is none."""
    names = [os.environ.get("CXX", ""), "g++", "clang++"]
    return next(filter(None, (shutil.which(name) for name in names if name)), None)


def compiled(source: str) -> Path:
    """The library of the C++ text `source` for this processor, from the cache where it is there.

    Raises `OSError` and `subprocess.SubprocessError` where it can't be compiled.
    """
    compiler = find_compiler()
    if compiler is None:
        raise OSError("no C++ compiler was found; install g++")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    content = "\n".join([source, *FLAGS, version, _processor()])
    folder = cache_folder()
    file = folder / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.so"
    if file.exists():
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
        # Several processes may compile at the same time; each puts the same content here.
        os.replace(Path(workshop) / "kernels.so", file)
    return file


def _processor() -> str:
    """What `-march=native` may depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()} {platform.node()}"
    telling = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(telling)}))
