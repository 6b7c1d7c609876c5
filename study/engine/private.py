"""Access control of a local Ray instance: loopback only, with a token of its own."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Ray's own, where a cluster's nodes and users of its dashboard have their token.
TOKEN_FILE = Path("~/.ray/auth_token")
EXIT_LOST = 1
WATCH_SECONDS = 0.1
# Without these nothing continues.
_VITAL = {"gcs_server": "control store", "raylet": "node manager (raylet)"}


@contextlib.contextmanager
def private(dashboard: bool = False) -> Iterator[None]:
    """A block in which Ray starts as an instance for this user on this machine alone.

    Its token is known to this process and those that it starts; with a dashboard it is that of the token file, which
    is made where it is missing, for its user to enter.
    """
    # A package that takes seconds to import.
    from ray._private import ray_constants

    tighten()
    require_token()
    # For good: Ray reads it once in a process.
    if not os.environ.get("RAY_AUTH_TOKEN"):
        os.environ["RAY_AUTH_TOKEN"] = _shared_token() if dashboard else secrets.token_hex(32)
    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    before, was_enabled = os.environ.get(name), ray_constants.ENABLE_RAY_CLUSTER
    # Ray's processes listen where the address of their node is, and without clusters that is the loopback's.
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        with _apart():
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = was_enabled
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Within the block Ray's processes start in sessions of their own: signals to this one's group do not reach them.

    On Linux alone: elsewhere Ray finds them by their group to end them with this process.
    """
    import ray._private.services

    services: Any = ray._private.services
    if not sys.platform.startswith("linux"):
        yield
        return
    usual = services.ConsolePopen
    services.ConsolePopen = functools.partial(usual, start_new_session=True)
    try:
        yield
    finally:
        services.ConsolePopen = usual


@contextlib.contextmanager
def watched(again: str) -> Iterator[None]:
    """Ends this process with the command that continues if one of Ray's processes dies.

    Ray itself would try to reach it for a minute and then end this process with a dump.
    """
    import ray

    node: Any = ray._private.worker._global_node
    over = threading.Event()

    def watch() -> None:
        started = {name: infos[0].process for name, infos in node.all_processes.items() if name in _VITAL}
        while not over.wait(WATCH_SECONDS):
            for name, process in started.items():
                if process.poll() is not None and not over.is_set():
                    message = (
                        f"\nerror: Ray's {_VITAL[name]} was killed; what is recorded is kept. To continue: {again}\n"
                    )
                    os.write(sys.stderr.fileno(), message.encode(errors="replace"))
                    node.kill_all_processes(check_alive=False, allow_graceful=False)
                    os._exit(EXIT_LOST)

    watcher = threading.Thread(target=watch, name="ray-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def require_token() -> None:
    """Has Ray ask for a token, whatever the environment; to be called before Ray is imported."""
    os.environ["RAY_AUTH_MODE"] = "token"


def tighten() -> None:
    """Restricts the token file to its owner: Ray makes it readable for everybody."""
    with contextlib.suppress(OSError, RuntimeError):
        TOKEN_FILE.expanduser().chmod(0o600)


def _shared_token() -> str:
    file = TOKEN_FILE.expanduser()
    with contextlib.suppress(FileNotFoundError):
        if token := file.read_text().strip():
            return token
    token = secrets.token_hex(32)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(token)
    return token
