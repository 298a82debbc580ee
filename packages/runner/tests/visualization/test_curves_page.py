"""The page of curves in a real browser, without network."""

from __future__ import annotations

import base64
import io
import json
import math
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from eng.visualization.curves import Curves, render_page

DRIVER, BROWSER = shutil.which("chromedriver"), shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--window-size=1200,900",
]  # fmt: skip
needs_browser = pytest.mark.skipif(
    DRIVER is None or BROWSER is None, reason="needs Debian's chromium and chromium-driver (apt-get install)"
)


def runs() -> list[Curves]:
    steps = list(range(1, 101))
    losses = [math.exp(-step / 20) for step in steps]
    return [
        Curves(
            "first", Path("first"), {("loss", "iter"): (steps, losses), ("accuracy", "epoch"): ([1, 2], [0.5, 0.7])}
        ),
        Curves("<second>", Path("second"), {("loss", "iter"): (steps, [0.5, math.nan, *[2 * v for v in losses[2:]]])}),
    ]


class Browser:
    """A session of the WebDriver protocol (https://www.w3.org/TR/webdriver2/), as far as this file needs it."""

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


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
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
        page = tmp_path_factory.mktemp("page") / "curves.html"
        page.write_text(render_page(runs(), ["loss", "accuracy"], "two runs"), encoding="utf-8")
        session = Browser(port)
        session.url = page.as_uri()
        yield session
        session.call("DELETE", "")
    finally:
        driver.terminate()
        driver.wait(10)


@pytest.fixture
def page(browser):
    browser.call("POST", "/url", url=browser.url)
    return browser


COUNT = "return document.querySelectorAll('figure[data-name=loss] path.curve').length"
RANGE = "const f = document.querySelector('figure[data-name=loss]').dataset; return [+f.from, +f.to]"
PLACE = (
    "const b = document.querySelector('figure[data-name=loss] svg').getBoundingClientRect();"
    "return [b.left, b.top, b.width, b.height].map(Math.round)"
)


@needs_browser
def test_all_runs_are_drawn_and_a_click_switches_one_off(page) -> None:
    assert page.run("return [...document.querySelectorAll('figure')].map(f => f.dataset.name + '/' + f.dataset.axis)") == [
        "loss/iter", "accuracy/epoch",
    ]  # fmt: skip
    assert page.run(COUNT) == 2
    before = page.screenshot()
    orange = np.abs(before.astype(int) - (0xD9, 0x62, 0x2B)).sum(axis=-1) < 30
    assert orange.sum() > 200
    page.click("input[data-run='<second>']")
    assert page.run(COUNT) == 1
    after = np.abs(page.screenshot().astype(int) - (0xD9, 0x62, 0x2B)).sum(axis=-1) < 30
    assert after.sum() < orange.sum() / 2  # its swatch stays


@needs_browser
def test_hover_tells_values_at_the_nearest_step(page) -> None:
    left, top, width, height = page.run(PLACE)
    page.pointer(("move", left + width // 2, top + height // 2))
    tip = page.run(
        "const t = document.querySelector('figure[data-name=loss] .tip'); return t.hidden ? '' : t.innerText"
    )
    head, first, second = tip.splitlines()
    step = int(head.removeprefix("iter "))
    assert 40 < step < 70
    assert float(first.removeprefix("first: ")) == pytest.approx(math.exp(-step / 20), rel=1e-3)
    assert float(second.removeprefix("<second>: ")) == pytest.approx(2 * math.exp(-step / 20), rel=1e-3)


@needs_browser
def test_dragging_zooms_and_a_button_shows_the_whole_range(page) -> None:
    assert page.run(RANGE) == [1, 100]
    left, top, width, height = page.run(PLACE)
    y = top + height // 2
    page.pointer(
        ("move", left + width // 4, y),
        ("down", 0, 0),
        ("move", left + width // 3, y),
        ("move", left + width // 2, y),
        ("up", 0, 0),
    )
    begin, end = page.run(RANGE)
    assert 10 < begin < 30 and 40 < end < 60
    page.click("#reset")
    assert page.run(RANGE) == [1, 100]


@needs_browser
def test_on_a_log_scale_an_exponential_is_a_line(page) -> None:
    page.click("#log")
    path = page.run("return document.querySelector(\"path.curve[data-run=first]\").getAttribute('d')")
    points = np.array([[float(n) for n in point.split()] for point in path[1:].split("L")])
    slopes = np.diff(points[:, 1]) / np.diff(points[:, 0])
    assert slopes.std() < abs(slopes.mean()) * 0.05


@needs_browser
def test_the_page_asks_nobody_and_reports_no_error(page) -> None:
    assert page.run("return performance.getEntriesByType('resource').length") == 0
    assert page.run("return document.querySelectorAll('script[src], link, img, iframe').length") == 0


def test_names_cannot_end_the_data() -> None:
    page = render_page([Curves("</script><b>", Path("x"), {("loss", "iter"): ([1], [math.inf])})], ["loss"], "<i>")
    assert "</script><b>" not in page
    assert "<title>&lt;i&gt;</title>" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
