"""An address where no cluster answers is reported, soon and in one line."""

import re
import socket
import subprocess

import pytest

from study.engine import address
from study.engine.devices import ClusterError


@pytest.fixture
def silent():
    """A port of this machine that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def _message(place):
    with pytest.raises(ClusterError) as error:
        address.check(place)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_where_nothing_listens_it_is_reported_at_once():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{closed.getsockname()[1]}"
    assert re.match(
        rf"no Ray cluster answers at --address {place} \(Connection refused\); start one with", _message(place)
    )


def test_what_listens_and_is_no_cluster_is_not_waited_for(silent, monkeypatch):
    monkeypatch.setattr(address, "ANSWER_SECONDS", 2)
    assert f"no Ray cluster answers at --address {silent} within 2 s; start one" in _message(silent)


@pytest.mark.parametrize("place", ["6379", "head", "head:", ":6379", "head:ray", "head:99999"])
def test_what_is_no_address_is_reported(place):
    assert "it must be auto, or host:port such as" in _message(place)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            "ConnectionError: Could not find any Ray instance.",
            r"no Ray cluster answers at any address that .*Could not",
        ),
        ("AuthenticationError: RPC error: InvalidAuthToken", r"refuses this process.*set RAY_AUTH_MODE=token and copy"),
        ("a\nlast line", r"no Ray cluster answers at any address .*\(last line\)"),
        ("", r"no Ray cluster answers at any address .*\(no reason given\)"),
    ],
)
def test_each_kind_of_refusal_has_its_remedy(monkeypatch, answer, expected):
    done = subprocess.CompletedProcess([], 1, stdout="", stderr=answer)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert re.search(expected, _message("auto"))


@pytest.mark.parametrize(("mode", "expected"), [(None, "not set"), ("disabled", "disabled"), ("token", "token")])
def test_the_mode_of_this_process_is_named_where_it_is_refused(monkeypatch, mode, expected):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    done = subprocess.CompletedProcess([], 1, stdout="", stderr="AuthenticationError")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert f"(RAY_AUTH_MODE is {expected} here)" in _message("auto")
