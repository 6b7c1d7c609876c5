"""A study's page over HTTP, on this machine alone: the report, updated while the study runs."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import analysis
from analysis import tables
from analysis.report import content, explore, markup

HOST = "127.0.0.1"
PORT = 8650
# Least seconds between two readings of the records, and least ratio of that time to the time of reading.
INTERVAL, SHARE = 2.0, 10.0

Status = dict[str, Any]


class LivePage:
    """The page and its data, read from the study's folder on request, and not too often.

    status: the study's present status, as `study.status` has it; None if it is not known.
    """

    def __init__(self, study: Path, status: Callable[[], Status | None]):
        self._study, self._status = study, status
        self._lock = threading.Lock()
        self._pictures: explore.Pictures = {}
        self._next = -float("inf")
        self._explored: dict[str, Any] | None = None
        self._page = ""

    def data(self) -> str:
        """The explorer's data as JSON, with its `version` and the study's `status`."""
        with self._lock:
            self._refresh()
            return json.dumps((self._explored or {"version": ""}) | {"status": self._shown_status()}, allow_nan=False)

    def page(self) -> str:
        """The page as HTML."""
        with self._lock:
            self._refresh()
            return self._page

    def _refresh(self) -> None:
        started = time.monotonic()
        if started < self._next:
            return
        try:
            study = analysis.load(self._study, running=True)
            explored = explore.content(study, self._pictures)
        # Nothing is there yet, or a record is being replaced.
        except (ValueError, OSError) as problem:
            if self._explored is None:
                self._page = _waiting(str(problem))
        else:
            version = hashlib.sha256(json.dumps(explored).encode()).hexdigest()[:12]
            if self._explored is None or self._explored["version"] != version:
                self._explored = explored | {"version": version}
                report = content.report(study, *tables.all_of(study), [], {})
                with_status = self._explored | {"status": self._shown_status()}
                self._page = markup.html(report, with_status, live=True)
        self._next = started + max(INTERVAL, SHARE * (time.monotonic() - started))

    def _shown_status(self) -> Status | None:
        status = self._status()
        if status is None:
            return None
        return status | {"left": (status.get("left") or "") if status["state"].startswith("running") else ""}


def server(page: LivePage, port: int = PORT) -> ThreadingHTTPServer:
    """A server of the page on the loopback; on another port where this one is taken."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A stranger's page may send a browser here under a name of its own.
            host = (self.headers.get("Host") or "").rpartition(":")[0]
            if host not in (HOST, "localhost"):
                self.send_error(403)
            elif self.path in ("/", "/page.html"):
                self._answer(page.page(), "text/html")
            elif self.path == "/data.json":
                self._answer(page.data(), "application/json")
            else:
                self.send_error(404)

        def _answer(self, text: str, content_type: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", f"{content_type}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the terminal is the user's."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError:
        return ThreadingHTTPServer((HOST, 0), Handler)


def _waiting(reason: str) -> str:
    head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
    return f"{head}<title>Study</title><p>Waiting for the first trial: {escape(reason)}</p></html>"
