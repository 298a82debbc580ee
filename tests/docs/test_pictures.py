"""The pictures of docs/pictures/ show what today's code gives; test_notebook.py compares the curves of the 15 minutes."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def pictures() -> dict[str, object]:
    return runpy.run_path(str(ROOT / "scripts/pictures.py"))


@pytest.fixture(scope="module")
def shown() -> dict[str, object]:
    return json.loads((DOCS / "pictures/values.json").read_text(encoding="utf-8"))


def test_schedules_are_those_of_today(pictures, shown) -> None:
    values = pictures["schedule_values"]()
    assert len(values) == 6
    assert values == {name: pytest.approx(rates, abs=1e-6) for name, rates in shown["schedules"].items()}


def test_log_lines_on_the_page_are_of_the_same_run(shown) -> None:
    curves = shown["fifteen-minutes"]
    page = (DOCS / "start/fifteen-minutes.md").read_text(encoding="utf-8")
    assert f"accuracy: {curves['accuracy'][2]:.4f} " in page
    assert f"loss: {curves['loss'][11]:.4f}\n" in page  # four lines an epoch: the last of the third


def test_contact_sheet_belongs_to_its_page(pictures, shown) -> None:
    page = DOCS / "tutorials/image-folder.md"
    assert pictures["page_hash"](page) == shown["image-folder"], "the blocks of the page changed: run nox -s pictures"


def test_each_picture_is_shown_and_each_shown_picture_exists() -> None:
    texts = [page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md")]
    used = {name for text in texts for name in re.findall(r"\]\((?:\.\./)*pictures/([\w.-]+)\)", text)}
    made = {file.name for file in (DOCS / "pictures").iterdir() if file.suffix in (".png", ".svg")}
    assert used == made
