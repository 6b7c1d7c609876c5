"""A quick check that a Ray cluster answers at an address, for which Ray itself would wait minutes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from study.engine.devices import ClusterError

CONNECT_SECONDS = 4.0
# Importing Ray takes 2 s, on a busy machine ten times that.
ANSWER_SECONDS = 40.0
AUTO = "auto"
_REMEDY = "start one with `ray start --head`, or give the host:port that it printed"


def check(address: str) -> None:
    """Raises `ClusterError` if no cluster answers at `address` (`auto`, or host:port) or refuses this process."""
    shown = "any address that is known here (--address auto)" if address == AUTO else f"--address {address}"
    if address != AUTO:
        _connect(address, shown)
    place = [] if address == AUTO else ["--address", address]
    # In another process, since Ray's client can't be interrupted while it tries again and again.
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", *place]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        raise ClusterError(f"no Ray cluster answers at {shown} within {ANSWER_SECONDS:.0f} s; {_REMEDY}") from None
    if done.returncode == 0:
        return
    if "AuthenticationError" in done.stderr:
        mode = os.environ.get("RAY_AUTH_MODE")
        ours = f"RAY_AUTH_MODE is {mode} here" if mode else "RAY_AUTH_MODE is not set here"
        raise ClusterError(
            f"the Ray cluster at {shown} refuses this process, as its token is missing or differs ({ours}); "
            "set RAY_AUTH_MODE=token and copy ~/.ray/auth_token from the head, on every node alike"
        )
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    raise ClusterError(f"no Ray cluster answers at {shown} ({last[:300]}); {_REMEDY}")


def _connect(address: str, shown: str) -> None:
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 2**16):
        raise ClusterError(f"--address is {address!r}; it must be auto, or host:port such as 10.0.0.1:6379")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise ClusterError(f"no Ray cluster answers at {shown} ({reason}); {_REMEDY}") from None
