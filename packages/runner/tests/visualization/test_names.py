"""Names of runs and curves come out of files: they are shown, and do nothing else."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from eng.visualization._commands import curves as command
from eng.visualization.curves import Curves, UnknownCurveError, choose_names, draw_picture, render_page

NASTY = [
    "{{script}}",
    "{{data}}",
    "{{title}}",
    "</script><b>",
    "<!--",
    "'\"&",
    "\u2028",
    "{{unknown}}",
    "\\",
    "\x1b[2J",
    "$&",
]


def data_of(page: str) -> dict:
    (text,) = re.findall(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def run_of(name: str, *curve_names: str) -> Curves:
    return Curves(name, Path("x"), {(curve, "iter"): ([1, 2], [0.5, 0.25]) for curve in curve_names})


@given(
    st.lists(st.one_of(st.sampled_from(NASTY), st.text(min_size=1, max_size=8)), min_size=2, max_size=4, unique=True)
)
def test_any_name_is_data_on_the_page(names) -> None:
    run, *curve_names = names
    page = render_page([run_of(run, *curve_names)], curve_names, run)
    plain = render_page([run_of("a", "b")], ["b"], "a")
    assert [each["name"] for each in data_of(page)["runs"]] == [run]
    assert [chart["name"] for chart in data_of(page)["charts"]] == curve_names
    assert html.escape(run) in page
    assert page.count("<script") == plain.count("<script")
    assert page.count("</script") == plain.count("</script")


def write(folder: Path, *names: str) -> Path:
    path = folder / "20260101_000000" / "vis_data" / "scalars.json"
    path.parent.mkdir(parents=True)
    lines = [{**dict.fromkeys(names, 0.5), "step": step, "axis": "iter"} for step in (1, 2)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_escape_sequences_in_names_do_not_reach_the_terminal(tmp_path) -> None:
    folder = write(tmp_path / "run", "loss\x1b]0;title\x07", "a\nb", "\x9b2J")
    output = CliRunner().invoke(command, [str(folder)]).output
    assert r"loss\x1b]0;title\x07" in output
    assert r"a\nb" in output
    assert not set(output) & set("\x1b\x07\x9b")
    runs = [run_of("r", "loss\x1b[2J", "lot")]
    with pytest.raises(UnknownCurveError) as raised:
        choose_names(runs, ["los"])
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("number", [1, 2, 3, 5, 7, 10])
def test_a_picture_has_an_axes_for_each_curve_and_no_more(tmp_path, monkeypatch, number) -> None:
    figure_module = pytest.importorskip("matplotlib.figure")
    seen: list[int] = []
    save = figure_module.Figure.savefig
    monkeypatch.setattr(
        figure_module.Figure,
        "savefig",
        lambda self, *args, **kwargs: (seen.append(len(self.axes)), save(self, *args, **kwargs)),
    )
    names = [f"curve{index}" for index in range(number)]
    draw_picture([run_of("r", *names)], names, tmp_path / "c.png")
    assert seen == [number]
