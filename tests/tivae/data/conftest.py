"""A server of this machine that stands for the places where data sets are fetched."""

import functools
import http.server
import threading

import pytest


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Nothing on the console."""


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder, and the address at which a server of this machine gives its files."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()
