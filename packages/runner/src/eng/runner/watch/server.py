"""Serves a page that follows runs, to browsers on this machine only."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

from eng.visualization.curves import fill_page, in_order, page_data

from .follow import Watched, Watcher, version_of

__all__ = ["WatchServer"]

_ADDRESS = "127.0.0.1"
_DATA = "/data.json"
# Longer curves are thinned out, so that the browser can draw them quickly.
_MOST_POINTS = 4000


class WatchServer(http.server.ThreadingHTTPServer):
    """Serves the page with the curves of the watched runs on 127.0.0.1.

    The server only answers requests whose ``Host`` header is 127.0.0.1 or ``localhost``. A web page whose name resolves
    to this machine (DNS rebinding) cannot read the data.

    Args:
        watcher: follows the runs.
        port: port of the page; 0 takes a free one.

    Raises:
        OSError: the port is in use.
    """

    daemon_threads = True

    def __init__(self, watcher: Watcher, port: int = 0) -> None:
        super().__init__((_ADDRESS, port), _Handler)
        self._watcher = watcher
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{_ADDRESS}:{self.server_port}/"

    def data(self) -> dict[str, Any]:
        """Returns the data that the page draws, with a digest as its version."""
        with self._lock:
            watched = self._watcher.look()
        return {**_page_data(watched), "version": version_of(watched)}

    def is_meant(self, host: str | None) -> bool:
        """Whether a request's ``Host`` header names this server."""
        return host in {f"{name}:{self.server_port}" for name in (_ADDRESS, "localhost")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints errors as usual, but ignores a connection that the browser has closed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _page_data(watched: list[Watched]) -> dict[str, Any]:
    """Returns curves and status of the runs in the form that the page reads."""
    runs = [run.curves for run in watched]
    names = in_order(dict.fromkeys(name for run in runs for name in run.names))
    return page_data(runs, names, [run.status for run in watched], _MOST_POINTS)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET for the page and its data."""

    server: WatchServer
    timeout = 30  # Seconds after which a silent connection is closed, which frees its thread.

    def do_GET(self) -> None:
        """Answers a GET request for the page or for its data."""
        if not self.server.is_meant(self.headers.get("Host")):
            self.send_error(403, f"this page is at {self.server.url} only")
            return
        address = urlsplit(self.path)
        if address.path == "/":
            page = fill_page(self.server.data(), "eng watch", source=_DATA)
            self._answer(page, "text/html; charset=utf-8")
        elif address.path == _DATA:
            data = self.server.data()
            if parse_qs(address.query).get("have") == [data["version"]]:
                self._answer("", "application/json", 204)
            else:
                self._answer(json.dumps(data, allow_nan=False), "application/json")
        else:
            self.send_error(404)

    def _answer(self, text: str, media_type: str, status: int = 200) -> None:
        """Sends a text with headers that forbid other web sites to embed the text and caches to store it."""
        body = text.encode("utf-8", "backslashreplace")
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Prints nothing: the page sends a request every few seconds, which would fill the console."""
