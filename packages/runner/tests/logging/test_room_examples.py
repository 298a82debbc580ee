"""Examples in the docstrings of the lower rooms, and in their pages of the documentation."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

ROOMS = ("eng.logging", "eng.evaluator", "eng.checkpoint")
PAGES = Path(__file__).parents[4] / "docs"


def modules():
    for room in ROOMS:
        package = importlib.import_module(room)
        yield room
        yield from (f"{room}.{info.name}" for info in pkgutil.iter_modules(package.__path__))


@pytest.mark.parametrize("name", [*modules(), "eng.testing.compare", "eng.runner.log_processor"])
def test_docstring(name):
    failures, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failures == 0


@pytest.mark.parametrize("page", ["logging", "checkpoints", "evaluation"])
def test_page(page, tmp_path, monkeypatch):
    path = PAGES / f"{page}.md"
    if not path.is_file():
        pytest.skip("the documentation is not beside the package")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    from eng.logging import HistoryBuffer
    from eng.registry import METRICS

    statistics = dict(HistoryBuffer._statistics_methods)
    try:
        with METRICS.isolated():
            for number, block in enumerate(blocks):
                exec(compile(block, f"{path.name}[{number}]", "exec"), {"__name__": f"page_{page}_{number}"})
    finally:
        HistoryBuffer._statistics_methods.clear()
        HistoryBuffer._statistics_methods.update(statistics)
