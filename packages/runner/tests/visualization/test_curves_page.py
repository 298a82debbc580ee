"""The page of curves in a real browser, without network."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from page_browser import chromium, needs_browser

from eng.visualization.curves import Curves, render_page


def runs() -> list[Curves]:
    steps = list(range(1, 101))
    losses = [math.exp(-step / 20) for step in steps]
    return [
        Curves(
            "first",
            Path("first"),
            {
                ("loss", "iter"): (steps, losses),
                ("accuracy", "epoch"): ([1, 2], [0.5, 0.7]),
                ("broken", "iter"): ([1, 2], [math.nan, math.inf]),
                ("time", "iter"): (steps, losses),
            },
        ),
        Curves("<second>", Path("second"), {("loss", "iter"): (steps, [0.5, math.nan, *[2 * v for v in losses[2:]]])}),
    ]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    page = tmp_path_factory.mktemp("page") / "curves.html"
    names = ["loss", "accuracy", "broken", "time"]
    page.write_text(render_page(runs(), names, "two runs"), encoding="utf-8")
    with chromium() as session:
        session.url = page.as_uri()
        yield session


@pytest.fixture
def page(browser):
    browser.open(browser.url)
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
        "loss/iter", "accuracy/epoch", "broken/iter", "time/iter",
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
def test_timings_are_folded_away_until_somebody_opens_them(page) -> None:
    shown = "return document.querySelector('figure[data-name=time]').getBoundingClientRect().height"
    assert page.run(shown) == 0
    page.click("#timings summary")
    assert page.run(shown) > 200
    assert page.until("return document.querySelectorAll('figure[data-name=time] path.curve').length", 1) == 1


@needs_browser
def test_a_curve_without_finite_values_says_so_and_has_no_axes(page) -> None:
    texts = "return [...document.querySelectorAll('figure[data-name=broken] svg text')].map(t => t.textContent)"
    assert page.run(texts) == ["no finite values here"]


@needs_browser
def test_the_page_asks_nobody_and_reports_no_error(page) -> None:
    assert page.run("return performance.getEntriesByType('resource').length") == 0
    assert page.run("return document.querySelectorAll('script[src], link, img, iframe').length") == 0


def test_names_cannot_end_the_data() -> None:
    page = render_page([Curves("</script><b>", Path("x"), {("loss", "iter"): ([1], [math.inf])})], ["loss"], "<i>")
    assert "</script><b>" not in page
    assert "<title>&lt;i&gt;</title>" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
