"""Slots for trials: which devices the nodes of a cluster have, and what each trial asks of them."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from study.engine import cpus

# Fastest first.
KINDS = ("cuda", "mps", "cpu")


class DeviceError(ValueError):
    """Devices that were asked for and that the cluster does not have."""


class ClusterError(RuntimeError):
    """Ray does not start, or does not answer."""


@dataclass(frozen=True)
class Pool:
    """Equal slots of one kind of device, on whichever nodes they are.

    device: what torch calls it; resources: Ray's resources of one slot; slots: how many trials run at once;
    threads: CPU threads of a trial; kind: as `--devices` names it, the device unless given.
    """

    device: str
    resources: dict[str, float]
    slots: int
    threads: int = 1
    kind: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", self.kind or self.device)


@dataclass(frozen=True, kw_only=True)
class SlotOptions:
    """What the user wants of a cluster's devices.

    devices: the kinds that are used, or ("auto",) for all there are; trials_per_gpu: how many share one;
    cpus_per_trial: cores, and torch threads, of each; max_concurrent: trials at once, None for as many as there is
    room for.
    """

    devices: tuple[str, ...] = ("auto",)
    trials_per_gpu: int = 1
    cpus_per_trial: int = 1
    max_concurrent: int | None = None

    @classmethod
    def of(cls, command_line: argparse.Namespace) -> SlotOptions:
        """Those of the command line. Raises `DeviceError` for a kind that does not exist."""
        wanted = tuple(name.strip() for name in command_line.devices.split(","))
        for name in wanted:
            if name not in KINDS and wanted != ("auto",):
                raise DeviceError(
                    f"--devices is {command_line.devices!r}; it must be auto, or a list of {', '.join(KINDS)}"
                )
        return cls(
            devices=wanted,
            trials_per_gpu=command_line.trials_per_gpu,
            cpus_per_trial=command_line.cpus_per_trial,
            max_concurrent=command_line.max_concurrent,
        )

    def pools(self, nodes: Sequence[Mapping[str, float]]) -> list[Pool]:
        """The slots as of `available`, all that was asked for being there.

        Raises `DeviceError` where a kind that `devices` names is not there, or where there is no slot at all.
        """
        found = self.available(nodes)
        has = _in_words(nodes)
        unbounded = {pool.kind for pool in replace(self, max_concurrent=None).available(nodes)}
        for kind in self.devices:
            if kind not in ("auto", *unbounded):
                raise DeviceError(f"--devices asks for {kind}, for which the cluster has no slot: it has {has}")
        if not found:
            raise DeviceError(
                f"--cpus-per-trial is {self.cpus_per_trial}, more than any node of the cluster has: it has {has}; "
                "ask for fewer, or start a node with more"
            )
        return found

    def available(self, nodes: Sequence[Mapping[str, float]]) -> list[Pool]:
        """The slots of nodes with these total resources, fastest kind first; [] where no trial can run.

        A trial on a GPU or on MPS has `cpus_per_trial` of its node's CPUs set aside; what is left serves trials on the
        CPU. Only the device itself is asked of Ray for it: with CPUs as well, trials on the CPU that Ray happens to
        place on that node would keep its GPU idle.
        """
        wanted = KINDS if self.devices == ("auto",) else self.devices
        slots: Counter[str] = Counter()
        for node in nodes:
            free = int(node.get("CPU", 0)) // self.cpus_per_trial
            gpus, mps = int(node.get("GPU", 0)) * self.trials_per_gpu, int(node.get("mps", 0))
            for kind, most in {"cuda": gpus, "mps": mps, "cpu": free}.items():
                taken = min(free, most) if kind in wanted else 0
                slots[kind] += taken
                free -= taken
        gpu, cpu = 1 / self.trials_per_gpu, float(self.cpus_per_trial)
        resources = {"cuda": {"GPU": gpu}, "mps": {"mps": 1.0}, "cpu": {"CPU": cpu}}
        found: list[Pool] = []
        left = sum(slots.values()) if self.max_concurrent is None else self.max_concurrent
        for kind in KINDS:
            taken = min(left, slots[kind])
            left -= taken
            if taken:
                found.append(Pool(kind, resources[kind], taken, self.cpus_per_trial))
        return found


def named(found: Sequence[Pool]) -> str:
    """The slots in words: 4 x cuda, 12 x cpu."""
    return ", ".join(f"{pool.slots} x {pool.kind}" for pool in found) or "none"


def machine() -> dict[str, float]:
    """This machine's resources, as Ray would count them, and `mps`, which Ray does not know by itself."""
    found: dict[str, float] = {"CPU": cpus.usable()}
    if torch.cuda.is_available():
        found["GPU"] = torch.cuda.device_count()
    if torch.backends.mps.is_available():
        found["mps"] = 1
    return found


def _in_words(nodes: Sequence[Mapping[str, float]]) -> str:
    totals = (f"{sum(node.get(name, 0) for node in nodes):g} {name}" for name in ("CPU", "GPU", "mps"))
    return ", ".join(totals) + (f" on {len(nodes)} nodes" if len(nodes) > 1 else "")
