"""Where and with what a result was computed."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import socket
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

# Tells a process that has only a copy of the code which commit it is of.
COMMIT_VARIABLE = "TIVAE_COMMIT"


class Stopwatch:
    """Takes the time of one piece of work on `device`."""

    def __init__(self, device: torch.device | str, data_source: str):
        self._device, self._data_source = device, data_source
        self._started_at, self._started = _now(), time.perf_counter()

    def provenance(self, seconds_before: float = 0.0, resumed: int = 0) -> dict[str, Any]:
        """Everything about the work so far; `seconds_before` were spent on it before it was last resumed."""
        return describe(self._device) | {
            "data_source": self._data_source,
            "started_at": self._started_at,
            "finished_at": _now(),
            "wall_seconds": seconds_before + time.perf_counter() - self._started,
            "resumed": resumed,
        }


def describe(device: torch.device | str) -> dict[str, Any]:
    """Versions, commit, host and device as plain values; `commit` ends in -dirty where files were changed."""
    device = torch.device(device)
    return {
        "device": device.type,
        "device_name": _device_name(device),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": importlib.metadata.version("torchvision"),
        "numpy": importlib.metadata.version("numpy"),
        "scikit_learn": importlib.metadata.version("scikit-learn"),
        "commit": commit(),
    }


@functools.cache
def commit() -> str | None:
    """The commit of this code, ending in -dirty where files were changed; None if it is not known."""
    if COMMIT_VARIABLE in os.environ:
        return os.environ[COMMIT_VARIABLE] or None
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
