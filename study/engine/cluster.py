"""The connection to Ray: a new local instance, or an existing cluster."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study import signals
from study.engine import devices
from study.engine.cpus import usable
from study.engine.devices import ClusterError, Node, Pool, SlotOptions
from study.engine.obstacles import obstacle
from study.engine.private import private, tighten, watched
from study.options import JOB_VARIABLE
from study.storage.remote import Storage, StorageError
from tivae import registry
from tivae.io import provenance

# After which a line names the nodes that are waited for: a worker takes up to a minute to start on a busy machine.
PATIENCE_SECONDS = 20.0
# For what a node has written to be seen here: NFS keeps what it knows of a folder for half a minute.
ARRIVAL_SECONDS = 60.0
UPDATE_INTERVAL = 1.0
# Environment variables that change what a trial computes, or how fast.
HANDED_ON = ("TIVAE_KERNELS",)
REPOSITORY = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def session(
    address: str | None = None, dashboard: bool = False, again: str = "the same command"
) -> Iterator[str | None]:
    """A connection to Ray: a new local instance, or the cluster at `address`, which answers (`study.engine.address`).

    Gives the address of Ray's dashboard, None where there is none.

    A local instance is this user's alone (`private`). dashboard: its own, for this machine only. Nodes of a cluster
    need not have this repository: its code is sent to them. again: the command that continues, printed where the start
    is interrupted or a local instance is killed, which ends this process.

    Raises `ClusterError` where Ray does not start, or the cluster can't be joined.
    """
    if address is None:
        options = _local(dashboard)
    else:
        tighten()
        packages = [str(REPOSITORY / name) for name in ("tivae", "study")] + list(map(str, registry.outside()))
        # They hold for all nodes. Ray refuses those that a Ray job sets itself.
        of_job = json.loads(os.environ.get(JOB_VARIABLE, "{}")).get("runtime_env") or {}
        handed_on = {name: value for name, value in os.environ.items() if name in HANDED_ON}
        variables = handed_on | {provenance.COMMIT_VARIABLE: provenance.commit() or ""}
        variables = {name: value for name, value in variables.items() if name not in of_job.get("env_vars", {})}
        environment = {"py_modules": packages, "env_vars": variables}
        options = {"address": address, "runtime_env": environment}
    try:
        with signals.ending_at_once(again), contextlib.nullcontext() if address is not None else private(dashboard):
            context = ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    # Ray has SIGTERM raise this while it starts.
    except SystemExit:
        raise KeyboardInterrupt from None
    # Ray raises a bare Exception where its processes need more than half a minute to start.
    except Exception as error:
        raise ClusterError(_not_started(address, error)) from error
    if address is None:
        # To ask it would take a process that loads torch.
        _accelerators.known |= {node["NodeID"]: devices.accelerator() for node in ray.nodes()}
    try:
        with contextlib.nullcontext() if address is not None else watched(again):
            yield context.dashboard_url or None
    finally:
        _accelerators.forget()
        ray.shutdown()


class _Accelerators:
    """What torch finds on each node, which the node is asked once: Ray counts a Mac's GPU as any other."""

    def __init__(self) -> None:
        self._asked: dict[Any, str] = {}
        self.known: dict[str, str | None] = {}

    def forget(self) -> None:
        """Forgets all nodes: another session has others."""
        self._asked.clear()
        self.known.clear()

    def of(self, ids: Sequence[str], seconds: float) -> dict[str, str | None]:
        """The accelerator of each node that has answered, or does so within `seconds`; new nodes are asked."""
        for node in set(ids) - self.known.keys() - set(self._asked.values()):
            self._asked[_ask(node)] = node
        if self._asked:
            answered, _ = ray.wait(list(self._asked), num_returns=len(self._asked), timeout=seconds)
            for reference in answered:
                node = self._asked.pop(reference)
                self.known[node] = None
                # Where torch can't be loaded trials fail as well, and the check of the storage gives the reason.
                with contextlib.suppress(ray.exceptions.RayError):
                    self.known[node] = ray.get(reference)
        return {node: self.known[node] for node in ids if node in self.known}


_accelerators = _Accelerators()


def nodes(seconds: float = 0.0) -> list[Node]:
    """The nodes that can run trials and have reported their accelerator within `seconds`."""
    able = {node["NodeID"]: node for node in ray.nodes() if _can_run(node)}
    found = _accelerators.of(list(able), seconds)
    return [
        Node(key, _name(able[key]), able[key]["Resources"]["CPU"], able[key]["Resources"].get("GPU", 0.0), accelerator)
        for key, accelerator in found.items()
    ]


def awaited(seconds: float, log: Callable[[str], None]) -> list[Node]:
    """As `nodes`, once one with CPUs has joined and each has started a worker, or `seconds` have passed; logs what is
    waited for.

    Raises `ClusterError` where none with CPUs has joined, or none of those has started a worker.
    """
    _await_any(seconds, log)
    found = nodes(min(PATIENCE_SECONDS, seconds))
    if not _starting(found):
        return found
    log(f"waiting for a worker to start on {', '.join(_starting(found))} (--node-timeout: {seconds:g} s)")
    found = nodes(max(0.0, seconds - PATIENCE_SECONDS))
    if (missing := _starting(found)) and not found:
        raise ClusterError(
            f"no worker has started within {seconds:g} s on {', '.join(missing)}; see what keeps them busy, or give "
            "--node-timeout more seconds"
        )
    if missing:
        log(f"{', '.join(missing)}: no worker has started there within {seconds:g} s; used as soon as one has")
    return found


def _await_any(seconds: float, log: Callable[[str], None]) -> None:
    """Returns once a node has CPUs."""
    if any(map(_can_run, ray.nodes())):
        return
    log(f"waiting for a node with CPUs to join (--node-timeout: {seconds:g} s)")
    deadline = time.monotonic() + seconds
    while not any(map(_can_run, ray.nodes())):
        if time.monotonic() >= deadline:
            raise ClusterError(f"no node with CPUs has joined within {seconds:g} s; see `ray status` on the head")
        time.sleep(UPDATE_INTERVAL)


def _starting(found: Sequence[Node]) -> list[str]:
    """The names of the nodes with CPUs that are not among `found`."""
    known = {node.id for node in found}
    return [_name(node) for node in ray.nodes() if _can_run(node) and node["NodeID"] not in known]


def _can_run(node: dict[str, Any]) -> bool:
    return bool(node["Alive"] and node["Resources"].get("CPU"))


def _name(node: dict[str, Any]) -> str:
    return str(node.get("NodeManagerHostname") or node["NodeManagerAddress"])


def _ask(node: str) -> Any:
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0)(devices.accelerator).options(scheduling_strategy=there).remote()


def check_storage(storage: Storage, options: SlotOptions, seconds: float) -> None:
    """Has every node that can run trials write to the storage, and checks that it is seen here.

    seconds: for a worker to start, and for the storage to answer it.

    Raises `StorageError` naming a node that can't, and why, and `ClusterError` where a worker does not start.
    """
    token = uuid.uuid4().hex
    storage.lay_out(token)
    able = [node for node in nodes() if options.available([node])]
    begun, answers = _asked(storage, token, able, seconds)
    wrote = {node for node, reason in answers.items() if reason is None}
    came = storage.answers(token, wrote, ARRIVAL_SECONDS)
    for node in able:
        if node.id not in begun:
            raise ClusterError(
                f"no worker has started within {seconds:g} s on {node.name}, which would have tried the storage; see "
                "what keeps it busy, or give --node-timeout more seconds"
            )
        reason = answers.get(node.id, f"it does not answer there within {seconds:g} s, see --node-timeout")
        if reason is None and node.id not in came:
            reason = "what it writes there does not appear here: its folder of that name is another"
        if reason is not None:
            raise StorageError(
                f"the node {node.name} can't use the storage {storage.shown} ({reason}); "
                "give --storage a folder that every node shares, or a URL that every node can write"
            )


class LiveSlots:
    """The pools of the cluster as it is now, updated at most once a second.

    options: the devices that are used; log: called with a line when the nodes change.
    """

    def __init__(
        self, options: SlotOptions, log: Callable[[str], None], list_nodes: Callable[[], Sequence[Node]] = nodes
    ):
        self._options, self._log, self._list_nodes = options, log, list_nodes
        self._updated = time.monotonic()
        self._nodes = {node.id: node for node in list_nodes()}
        self.pools = self._available()
        self._log_unseen(self._nodes.values())

    def __call__(self) -> list[Pool]:
        now = time.monotonic()
        if now - self._updated >= UPDATE_INTERVAL:
            self._updated = now
            self._update({node.id: node for node in self._list_nodes()})
        return self.pools

    def _update(self, found: dict[str, Node]) -> None:
        gone = [node.name for key, node in self._nodes.items() if key not in found]
        new = [node.name for key, node in found.items() if key not in self._nodes]
        self._log_unseen(node for key, node in found.items() if key not in self._nodes)
        before, self._nodes = self.pools, found
        if (now := self._available()) != before:
            self.pools = now
            what = [f"{', '.join(names)} {verb}" for names, verb in ((new, "joined"), (gone, "left")) if names]
            change = " and ".join(what) or "the nodes changed"
            self._log(f"{change}: {devices.named(before)} before, now {devices.named(self.pools)}")

    def _available(self) -> list[Pool]:
        return self._options.available(list(self._nodes.values()))

    def _log_unseen(self, new: Iterable[Node]) -> None:
        for node in new:
            if node.gpus and node.accelerator is None:
                self._log(f"{node.name}: torch there is built without CUDA, so its {node.gpus:g} GPUs are not used")


def _local(dashboard: bool) -> dict[str, Any]:
    # Without this package Ray starts a dashboard that shows nothing.
    if dashboard and importlib.util.find_spec("aiohttp") is None:
        raise ClusterError("--dashboard needs the extra `cluster`: give the command with `uv run --extra cluster`")
    outside = [str(package.parent) for package in registry.outside()]
    paths = os.pathsep.join([str(REPOSITORY), *outside, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {
        "address": "local",
        # Ray would count CPUs that this process may not use.
        "num_cpus": usable(),
        "include_dashboard": dashboard,
        "dashboard_host": "127.0.0.1",
        "runtime_env": {"env_vars": {"PYTHONPATH": paths}},
    }


def _not_started(address: str | None, error: Exception) -> str:
    reason = " ".join(str(error).split())[:500]
    if address is None and (cause := obstacle()) is not None:
        return f"Ray did not start: {cause}"
    if address is None:
        return f"Ray did not start ({reason}); give the command again when this machine is less busy"
    if "No node info found" in reason:
        return (
            f"this machine is no node of the cluster at {address}; give the command on one of its nodes, make this "
            f"machine one with `ray start --address {address}`, or send the command as a Ray job (see study/CLUSTER.md)"
        )
    return f"the Ray cluster at {address} can't be joined ({reason}); check that Python and Ray are the same there"


def _asked(
    storage: Storage, token: str, able: Sequence[Node], seconds: float
) -> tuple[set[str], dict[str, str | None]]:
    """The nodes whose worker has started, and the result of each that came in time: None, or why it can't write."""
    check = ray.remote(num_cpus=0, max_retries=0, num_returns="streaming")(_check_from_there)
    asked: dict[Any, str] = {
        check.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(
            storage, token, node.id
        ): node.id
        for node in able
    }
    begun: set[str] = set()
    answers: dict[str, str | None] = {}
    # Each reports first that it has started, then its result.
    for _ in range(2):
        ready: tuple[list[Any], Any] = ([], [])
        if asked:
            ready = ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
        for stream in ready[0]:
            begun.add(asked[stream])
            try:
                answer: Any = ray.get(next(stream))
            except ray.exceptions.RayError as error:
                answers[asked.pop(stream)] = " ".join(str(error).split())[-300:]
            else:
                answers |= {} if answer == _STARTED else {asked[stream]: answer}
        asked = {stream: node for stream, node in asked.items() if node in begun and node not in answers}
    return begun, answers


_STARTED = "started"


def _check_from_there(storage: Storage, token: str, node: str) -> Iterator[str | None]:
    yield _STARTED
    yield storage.check_from_here(token, node)
