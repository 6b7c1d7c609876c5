"""Slots for trials: which devices the cluster has, and what each trial asks of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Fastest first.
KINDS = ("cuda", "mps", "cpu")


class DeviceError(ValueError):
    """Devices that were asked for and that the cluster does not have."""


class ClusterError(RuntimeError):
    """Ray does not start, or does not answer."""


@dataclass(frozen=True)
class Pool:
    """Equal slots of one kind of device.

    device: what torch calls it; resources: Ray's resources of one slot; slots: how many trials run at once.
    """

    device: str
    resources: dict[str, float]
    slots: int

    @property
    def threads(self) -> int:
        """CPU threads of a trial."""
        return max(1, int(self.resources["CPU"]))


def options(command_line: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of `pools` from the command line's options.

    Raises `DeviceError` for a kind that does not exist.
    """
    wanted = tuple(name.strip() for name in command_line.devices.split(","))
    for name in wanted:
        if name not in KINDS and wanted != ("auto",):
            raise DeviceError(
                f"--devices is {command_line.devices!r}; it must be auto, or a list of {', '.join(KINDS)}"
            )
    return {
        "devices": wanted,
        "trials_per_gpu": command_line.trials_per_gpu,
        "cpus_per_trial": command_line.cpus_per_trial,
        "max_concurrent": command_line.max_concurrent,
    }


def pools(
    cluster: Mapping[str, float],
    *,
    devices: tuple[str, ...] = ("auto",),
    trials_per_gpu: int = 1,
    cpus_per_trial: int = 1,
    max_concurrent: int | None = None,
) -> list[Pool]:
    """The slots of a cluster with these total resources, fastest kind first.

    A trial on a GPU or on MPS takes `cpus_per_trial` CPUs as well; what is left serves trials on the CPU.

    Raises `DeviceError` where a kind that `devices` names is not there, or where there is no slot at all.
    """
    wanted = KINDS if devices == ("auto",) else devices
    cpus = int(cluster.get("CPU", 0))
    found: list[Pool] = []
    for kind in (kind for kind in KINDS if kind in wanted):
        resources: dict[str, float] = {"CPU": cpus_per_trial}
        free = cpus // cpus_per_trial
        if kind == "cuda":
            resources["GPU"] = 1 / trials_per_gpu
            free = min(free, int(cluster.get("GPU", 0)) * trials_per_gpu)
        elif kind == "mps":
            resources["mps"] = 1
            free = min(free, int(cluster.get("mps", 0)))
        if max_concurrent is not None:
            free = min(free, max_concurrent - sum(pool.slots for pool in found))
        if free > 0:
            found.append(Pool(kind, resources, free))
            cpus -= free * cpus_per_trial
    has = ", ".join(f"{cluster.get(name, 0):g} {name}" for name in ("CPU", "GPU", "mps"))
    for kind in devices:
        if kind != "auto" and kind not in {pool.device for pool in found}:
            raise DeviceError(f"--devices asks for {kind}, for which the cluster has no slot: it has {has}")
    if not found:
        raise DeviceError(
            f"--cpus-per-trial is {cpus_per_trial}, more than the cluster has: it has {has}; ask for fewer"
        )
    return found
