"""A headless Chromium, driven by the WebDriver protocol (https://www.w3.org/TR/webdriver2/), for tests of pages."""

from __future__ import annotations

import base64
import io
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1200,900",
]  # fmt: skip
needs_browser = pytest.mark.skipif(
    DRIVER is None or BROWSER is None, reason="needs Debian's chromium and chromium-driver (apt-get install)"
)


class Browser:
    """A session, as far as tests need it."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": FLAGS, "binary": BROWSER}}
        self.root += "/session/" + self.call("POST", "/session", capabilities={"alwaysMatch": wanted})["sessionId"]

    def call(self, method: str, path: str, **body):
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def run(self, script: str):
        return self.call("POST", "/execute/sync", script=script, args=[])

    def click(self, selector: str) -> None:
        found = self.call("POST", "/element", using="css selector", value=selector)
        self.call("POST", f"/element/{next(iter(found.values()))}/click")

    def pointer(self, *moves: tuple[str, int, int]) -> None:
        kinds = {"move": "pointerMove", "down": "pointerDown", "up": "pointerUp"}
        actions = [
            {"type": kinds[kind], **({"x": x, "y": y} if kind == "move" else {"button": 0})} for kind, x, y in moves
        ]
        self.call("POST", "/actions", actions=[{"type": "pointer", "id": "mouse", "actions": actions}])

    def screenshot(self) -> np.ndarray:
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(base64.b64decode(self.call("GET", "/screenshot")))).convert("RGB"))

    def open(self, url: str) -> None:
        self.call("POST", "/url", url=url)

    def until(self, script: str, wanted: object, seconds: float = 20.0):
        """Runs a script until it gives what is wanted; what it gave in the end."""
        end = time.monotonic() + seconds
        while (value := self.run(script)) != wanted and time.monotonic() < end:
            time.sleep(0.1)
        return value


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        session = Browser(port)
        yield session
        session.call("DELETE", "")
    finally:
        driver.terminate()
        driver.wait(10)
