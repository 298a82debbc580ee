"""What the site is built from: drawings of today's Mermaid blocks, and no markup that only other tools understand."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCED = re.compile(r"^ *```.*?^ *```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
FOREIGN = {
    "a role of Sphinx": re.compile(r":(?:class|func|meth|mod|ref|doc|attr|obj):`"),
    "LaTeX": re.compile(r"\$\$|\\\(|\\\[|\\(?:frac|begin|cdot)\b|\$[^\s$`][^$\n`]*\$"),
    "a directive of Sphinx or MyST": re.compile(r"^(?:\.\. \w+::|:::\{\w+\}|```\{\w+\})", re.MULTILINE),
}
PAGES = sorted(DOCS.rglob("*.md"))


def test_each_mermaid_block_has_its_drawing_and_no_drawing_is_left_over() -> None:
    blocks = runpy.run_path(str(ROOT / "scripts/diagrams.py"))["blocks"]()
    drawings = {path.stem: ET.parse(path) for path in (DOCS / "diagrams").glob("*.svg")}
    assert len(blocks) >= 6
    assert set(blocks) == set(drawings), "run: nox -s diagrams"


@pytest.mark.parametrize("name", FOREIGN)
def test_pages_have_no_markup_of_other_tools(name: str) -> None:
    texts = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    # The roles stand in front of code, so only fenced blocks are cut out for them.
    prose = {page: FENCED.sub("", text) if name == "LaTeX" else text for page, text in texts.items()}
    assert [page for page, text in prose.items() if FOREIGN[name].search(text)] == []
