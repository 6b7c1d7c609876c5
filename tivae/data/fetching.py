"""Where Fashion-MNIST's four files come from on a machine that has none in its cache."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# A command that writes nothing for so long is given up. Torchvision's import alone takes 4 to 11 s.
SILENT_SECONDS = 30.0

DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("usr/share/datasets/fashion-mnist")


class UnavailableError(Exception):
    """A place does not have the files or cannot give them; the message is the reason, in one line."""


@dataclass(frozen=True)
class Source:
    """A place that may have the files: a folder of this machine, or a download.

    A download is given an empty folder to work in and returns the folder in which the files then lie. It
    raises `UnavailableError` where it cannot get them.
    """

    name: str
    place: Path | Callable[[Path], Path]


def torchvision(work: Path) -> Path:
    """Torchvision's own download, as a command: no progress bars on the console, and it can be ended."""
    run([sys.executable, "-c", _TORCHVISION], work)
    return work


_TORCHVISION = """
import socket
from torchvision.datasets import FashionMNIST
print("imported", flush=True)
socket.setdefaulttimeout(3)
FashionMNIST(".", download=True)
"""


def debian_package(work: Path) -> Path:
    """Debian's package, fetched and unpacked; it is not installed, and the system's package lists stay."""
    try:
        run([*_APT_GET, "download", DEBIAN_PACKAGE], work)
    except UnavailableError:
        _download_with_own_lists(work)
    for package in work.glob("*.deb"):
        run(["dpkg-deb", "-x", package.name, "."], work)
    return work / DEBIAN_FOLDER


SOURCES = (
    Source("debian", "/" / DEBIAN_FOLDER),
    Source("torchvision", torchvision),
    Source("debian package", debian_package),
)

_APT_GET = (
    *("apt-get", "-o", "Acquire::Retries=0"),
    *("-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10"),
)


def _download_with_own_lists(work: Path) -> None:
    """For a machine whose package lists are missing or out of date; lists in `work` need no rights."""
    (work / "lists" / "partial").mkdir(parents=True)
    (work / "archives" / "partial").mkdir(parents=True)
    settings = (f"Dir::State::Lists={work}/lists", f"Dir::Cache={work}", "Acquire::Languages=none")
    own = [word for setting in settings for word in ("-o", setting)]
    update_problem = None
    try:
        run([*_APT_GET, *own, "-o", "APT::Update::Error-Mode=any", "update"], work)
    except UnavailableError as problem:
        # Not the end: it also fails where only an archive that does not have the package is out of reach.
        update_problem = problem
    try:
        run([*_APT_GET, *own, "download", DEBIAN_PACKAGE], work)
    except UnavailableError as problem:
        raise update_problem or problem from None


def run(command: Sequence[str], work: Path, silent_seconds: float = SILENT_SECONDS) -> None:
    """Runs `command` in the folder `work`, where its output goes to a file.

    Raises `UnavailableError` with the command's own reason where it fails, and ends it, with all that it
    started, where nothing in `work` grows for `silent_seconds`.
    """
    output = work / "output.txt"
    environment = os.environ | {"LC_ALL": "C"}
    with output.open("wb") as log:
        try:
            process = subprocess.Popen(
                command,
                cwd=work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as problem:
            raise UnavailableError(f"{command[0]} cannot be started ({problem.strerror})") from None
    try:
        _wait_while_growing(process, work, silent_seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode != 0:
        raise UnavailableError(_reason(output.read_text(errors="replace")) or f"exit status {process.returncode}")


def _wait_while_growing(process: subprocess.Popen[bytes], work: Path, silent_seconds: float) -> None:
    size, grown_at = -1, time.monotonic()
    while True:
        try:
            process.wait(timeout=0.1)
            return
        except subprocess.TimeoutExpired:
            pass
        previous, size = size, _size(work)
        if size != previous:
            grown_at = time.monotonic()
        elif time.monotonic() - grown_at > silent_seconds:
            raise UnavailableError(f"no answer within {silent_seconds:g} s")


def _size(folder: Path) -> int:
    """Bytes of all files below `folder`, while others rename and remove them."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def _reason(output: str) -> str:
    """The first error that apt-get names, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("E:").strip() for line in lines if line.startswith("E:")]
    return errors[0] if errors else lines[-1] if lines else ""
