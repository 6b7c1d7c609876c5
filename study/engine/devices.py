"""Slots for trials: the devices of a cluster's nodes, and the resources of each trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from study.engine import cpus
from study.options import RunOptions

# Fastest first.
DEVICE_TYPES = ("cuda", "mps", "cpu")


class DeviceError(ValueError):
    """Requested devices that the cluster does not have."""


class ClusterError(RuntimeError):
    """Ray does not start, or does not answer."""


@dataclass(frozen=True)
class Node:
    """A machine that can run trials.

    cpus, gpus: what Ray may give of it; to Ray 2.58 and later a Mac has a GPU as others have. accelerator: what torch
    there finds, cuda or mps; None if it finds none.
    """

    id: str
    name: str
    cpus: float
    gpus: float = 0.0
    accelerator: str | None = None


@dataclass(frozen=True)
class Pool:
    """Equal slots on one node.

    device: what torch calls it; resources: Ray's resources of one slot; slots: how many trials run at once; threads:
    CPU threads of a trial; node: Ray's name for the node, host: the node's own; "" where there is one node only.
    is_full: whether Ray has no room for one trial more when all slots are taken, nor for one in place of another
    pool's: one more may then wait for a slot without ever running beside the others.
    """

    device: str
    resources: dict[str, float]
    slots: int
    threads: int = 1
    node: str = ""
    host: str = ""
    is_full: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Names the pool, whatever its size."""
        return self.node, self.device

    @property
    def place(self) -> str:
        """In words: cuda, or cuda of HOST."""
        return f"{self.device} of {self.host}" if self.host else self.device


@dataclass(frozen=True, kw_only=True)
class SlotOptions:
    """The user's options on devices.

    devices: the types that are used, or ("auto",) for all there are; trials_per_gpu: how many share one;
    cpus_per_trial: cores, and torch threads, of each; max_concurrent: trials at once, None for as many as there is
    room for.
    """

    devices: tuple[str, ...] = ("auto",)
    trials_per_gpu: int = 1
    cpus_per_trial: int = 1
    max_concurrent: int | None = None

    @classmethod
    def of(cls, command_line: RunOptions) -> SlotOptions:
        """The options of the command line. Raises `DeviceError` for a type that does not exist."""
        wanted = tuple(name.strip() for name in command_line.devices.split(","))
        for name in wanted:
            if name not in DEVICE_TYPES and wanted != ("auto",):
                hint = "did you mean cuda? " if name == "gpu" else ""
                rule = f"it must be auto, or a list of {', '.join(DEVICE_TYPES)}"
                raise DeviceError(f"--devices is {command_line.devices!r}; {hint}{rule}")
        return cls(
            devices=wanted,
            trials_per_gpu=command_line.trials_per_gpu,
            cpus_per_trial=command_line.cpus_per_trial,
            max_concurrent=command_line.max_concurrent,
        )

    def pools(self, nodes: Sequence[Node]) -> list[Pool]:
        """As `available`, where every requested type of device must be there.

        Raises `DeviceError` if a type that `devices` names is not there, or if there is no slot at all.
        """
        found = self.available(nodes)
        has = _in_words(nodes)
        unbounded = {pool.device for pool in replace(self, max_concurrent=None).available(nodes)}
        for device in self.devices:
            if device not in ("auto", *unbounded):
                raise DeviceError(f"--devices asks for {device}, for which the cluster has no slot: it has {has}")
        if not found:
            raise DeviceError(
                f"--cpus-per-trial is {self.cpus_per_trial}, more than any node of the cluster has: it has {has}; "
                "ask for fewer, or start a node with more"
            )
        return found

    def available(self, nodes: Sequence[Node]) -> list[Pool]:
        """The slots of these nodes, the fastest type first; [] where no trial can run.

        A trial on an accelerator has `cpus_per_trial` of its node's CPUs as well; what is left serves trials on the
        CPU. Each pool is of one node, on which alone Ray places its trials: trials on CPUs can't take those of a GPU.
        """
        wanted = DEVICE_TYPES if self.devices == ("auto",) else self.devices
        left = sum(int(node.cpus) for node in nodes) if self.max_concurrent is None else self.max_concurrent
        several = len(nodes) > 1
        found: list[Pool] = []
        free = {node.id: int(node.cpus) // self.cpus_per_trial for node in nodes}
        for device in (device for device in DEVICE_TYPES if device in wanted):
            for node in nodes:
                room = self._room(device, node, free[node.id])
                slots = min(left, free[node.id], room)
                if slots > 0:
                    left, free[node.id] = left - slots, free[node.id] - slots
                    resources, host = self._resources(device, node), node.name if several else ""
                    # Of CPUs alone, whole they must be: others may stand by for an accelerator.
                    whole = int(node.cpus) // self.cpus_per_trial if device == "cpu" else room
                    is_full = slots == whole and (device == "cpu" or "GPU" in resources)
                    found.append(Pool(device, resources, slots, self.cpus_per_trial, node.id, host, is_full))
        return found

    def _room(self, device: str, node: Node, free: int) -> int:
        """Trials that fit on the node's device, CPUs aside."""
        if device == "cpu":
            return free
        if device != node.accelerator:
            return 0
        return int(node.gpus) * self.trials_per_gpu if device == "cuda" else 1

    def _resources(self, device: str, node: Node) -> dict[str, float]:
        needed = {"CPU": float(self.cpus_per_trial)}
        if device == "cuda":
            needed["GPU"] = 1 / self.trials_per_gpu
        elif device == "mps" and node.gpus:
            needed["GPU"] = 1.0
        return needed


def named(found: Sequence[Pool]) -> str:
    """The slots in words: 4 x cuda, 12 x cpu."""
    slots: Counter[str] = Counter()
    for pool in found:
        slots[pool.device] += pool.slots
    return ", ".join(f"{slots[device]} x {device}" for device in DEVICE_TYPES if slots[device]) or "none"


def machine() -> Node:
    """This machine, as Ray would count it."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Node("", "", cpus.usable(), gpus, accelerator())


def accelerator() -> str | None:
    """The accelerator that torch finds on this machine: cuda, mps or none.

    For CUDA how torch was built: a process that Ray has given no GPU may see none, and Ray counts them.
    """
    if torch.backends.mps.is_available():
        return "mps"
    return "cuda" if torch.version.cuda or torch.version.hip else None


def _in_words(nodes: Sequence[Node]) -> str:
    gpus = sum(node.gpus for node in nodes if node.accelerator == "cuda")
    macs = sum(node.accelerator == "mps" for node in nodes)
    unknown = sum(node.gpus for node in nodes if node.accelerator is None)
    totals = f"{sum(node.cpus for node in nodes):g} CPU, {gpus:g} GPU, {macs:g} mps"
    unseen = f", {unknown:g} GPU that torch does not find" if unknown else ""
    return totals + unseen + (f" on {len(nodes)} nodes" if len(nodes) > 1 else "")
