"""Downloads of data sets: from a mirror, or as a Debian package."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tivae.data.image_set import File, Source, UnavailableError

# Commands that take longer are stopped; apt-get itself gives up on an archive that is silent for 10 s.
COMMAND_SECONDS = 600.0


def mirror(address: str, *, suffix: str = "", timeout_s: float = 5.0) -> Source:
    """A web server's folder with the files, `suffix` appended to each name; abandoned when silent for `timeout_s`."""

    def fetch(files: Sequence[File], work: Path) -> Path:
        for file in files:
            _download(f"{address}{file.name}{suffix}", work / f"{file.name}{suffix}", file.most_bytes, timeout_s)
        return work

    return Source("mirror", fetch)


def debian_package(package: str, folder: str) -> Source:
    """Debian's `package` with the files in `folder`: fetched and unpacked, not installed; package lists are kept."""

    def fetch(files: Sequence[File], work: Path) -> Path:  # noqa: ARG001
        try:
            run([*_APT_GET, "download", package], work)
        except UnavailableError:
            _download_with_own_lists(package, work)
        for archive in work.glob("*.deb"):
            run(["dpkg-deb", "-x", archive.name, "."], work)
        return work / folder

    return Source("debian package", fetch)


def _download(address: str, path: Path, most_bytes: int, timeout_s: float) -> None:
    # Importing it takes 50 ms, which a run that finds its data should not pay.
    import http.client
    import urllib.error
    import urllib.request

    try:
        # The address is one of the catalogue's, and what comes has a digest to meet.
        with urllib.request.urlopen(address, timeout=timeout_s) as answer, path.open("wb") as file:  # nosec B310
            while part := answer.read(1 << 20):
                if file.tell() + len(part) > most_bytes:
                    raise UnavailableError(f"{address} has more than the {most_bytes:,} bytes that it may have")
                file.write(part)
    except urllib.error.HTTPError as problem:
        with problem:
            raise UnavailableError(f"{address} gives no file ({problem.code} {problem.reason})") from None
    except urllib.error.URLError as problem:
        raise UnavailableError(f"{address} gives no file ({problem.reason})") from None
    except (OSError, http.client.HTTPException) as problem:
        raise UnavailableError(f"{address} gives no file ({problem or type(problem).__name__})") from None


_APT_GET = (
    *("apt-get", "-o", "Acquire::Retries=0"),
    *("-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10"),
)


def _download_with_own_lists(package: str, work: Path) -> None:
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
        run([*_APT_GET, *own, "download", package], work)
    except UnavailableError as problem:
        raise update_problem or problem from None


def run(command: Sequence[str], work: Path, seconds: float = COMMAND_SECONDS) -> None:
    """Runs `command` in the folder `work`, quietly.

    Raises `UnavailableError` with the command's own reason if it fails, or takes longer than `seconds`.
    """
    environment = os.environ | {"LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except OSError as problem:
        raise UnavailableError(f"{command[0]} cannot be started ({problem.strerror})") from None
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{command[0]} has not ended within {seconds:g} s") from None
    if done.returncode != 0:
        raise UnavailableError(_reason(done.stdout.decode(errors="replace")) or f"exit status {done.returncode}")


def _reason(output: str) -> str:
    """The first error that apt-get names, else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("E:").strip() for line in lines if line.startswith("E:")]
    return errors[0] if errors else lines[-1] if lines else ""
