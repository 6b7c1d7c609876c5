"""A local instance of Ray lets nobody in, and has the CPUs that this process may use."""

import json
import os
import socket
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from study.engine import private
from tests.waiting import HANG_SECONDS

# A session as a run starts one, on one CPU; it ends with its input.
SCRIPT = """
import json, os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from study.engine import private
private.require_token()
import ray
from study.engine import cluster
with cluster.session():
    ray.get(ray.remote(lambda: None).remote())
    found = {"address": ray.get_runtime_context().gcs_address, "cpus": ray.cluster_resources()["CPU"]}
    print(json.dumps(found | {"token": os.environ["RAY_AUTH_TOKEN"]}), flush=True)
    sys.stdin.read()
"""
LISTENING = "0A"

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="system: there is no /proc")


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Process, address and token of a local session, whose user would rather have none."""
    environment = os.environ | {"HOME": str(tmp_path_factory.mktemp("home")), "RAY_AUTH_MODE": "disabled"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], text=True, env=environment, **pipes) as process:
        try:
            yield process, json.loads(process.stdout.readline()), Path(environment["HOME"])
            process.communicate("", timeout=HANG_SECONDS)
        finally:
            process.kill()


def _family(process):
    """The process and all that it has started."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _sockets(process):
    links = []
    for path in Path(f"/proc/{process}/fd").glob("*"):
        try:
            links.append(os.readlink(path))
        except OSError:
            continue
    return {link[8:-1] for link in links if link.startswith("socket:[")}


def _listening(processes):
    """The addresses at which these processes listen, from the kernel's own tables."""
    mine = set().union(*map(_sockets, processes))
    found = []
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in mine:
                words = bytes.fromhex(fields[1].partition(":")[0])
                packed = b"".join(struct.pack("=I", word) for word in struct.unpack(f">{len(words) // 4}I", words))
                found.append(socket.inet_ntop(family, packed))
    return found


def test_the_sockets_of_this_process_are_found():
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::")):
        with socket.socket(family) as listening:
            listening.bind((host, 0))
            listening.listen()
            assert host in _listening([os.getpid()])


def test_a_local_session_listens_on_the_loopback_alone(session):
    found = _listening(_family(session[0].pid))
    assert len(found) >= 4, "its control store, raylet, worker and driver at least"
    assert set(found) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_a_local_session_has_the_cpus_that_this_process_may_use(session):
    assert session[1]["cpus"] == 1


def _asks(session, **environment):
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", session[1]["address"]]
    # Without this it would look for the session at the machine's outer address.
    home = {"HOME": str(session[2]), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | home | environment, timeout=HANG_SECONDS
    )


def test_a_client_with_the_token_is_let_in(session):
    done = _asks(session, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=session[1]["token"])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("token", [None, "0" * 64], ids=["no token", "another token"])
def test_a_client_without_the_token_is_kept_out(session, token):
    done = _asks(session, RAY_AUTH_MODE="token" if token else "disabled", RAY_AUTH_TOKEN=token or "")
    assert done.returncode != 0
    assert "AuthenticationError" in done.stderr or "Unauthenticated" in done.stderr


def test_no_token_is_left_behind(session):
    assert not list(session[2].glob(".ray/*"))


@pytest.fixture
def token_file(tmp_path, monkeypatch):
    monkeypatch.setattr(private, "TOKEN_FILE", tmp_path / ".ray" / "auth_token")
    return private.TOKEN_FILE


def test_the_token_of_a_dashboard_is_in_a_file_for_its_user_alone(token_file):
    token = private._shared_token()
    assert token_file.read_text() == token
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert private._shared_token() == token


def test_a_token_file_that_others_could_read_is_tightened(token_file):
    private.tighten()
    token_file.parent.mkdir()
    token_file.write_text("token")
    token_file.chmod(0o644)
    private.tighten()
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
