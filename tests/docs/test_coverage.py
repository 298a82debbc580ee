"""docs/coverage.md: every chapter of MMEngine's manual has a page here, and the navigation shows every page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

DOCS = Path(__file__).parents[2] / "docs"
ROWS = re.findall(r"^\| (\d\d) \| (.+?) \| (.+?) \|$", (DOCS / "coverage.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_all_chapters_are_listed_once() -> None:
    assert [number for number, _, _ in ROWS] == [f"{chapter:02}" for chapter in range(43)]


@pytest.mark.parametrize(("number", "cell"), [(number, cell) for number, _, cell in ROWS])
def test_a_page_of_each_chapter_shows_code(number: str, cell: str) -> None:
    targets = [DOCS / target for target in re.findall(r"\]\((.+?)\)", cell)]
    assert targets and all(target.is_file() for target in targets)
    assert any(
        "```python" in page.read_text(encoding="utf-8") or "```bash" in page.read_text(encoding="utf-8")
        for page in targets
    )


def test_navigation_shows_every_page() -> None:
    """The index of the decisions links its own pages."""
    nav = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = set(re.findall(r"[\w./-]+\.md", yaml.safe_dump(yaml.safe_load(nav))))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if not page.name.endswith(".zh.md")}
    assert listed == {page for page in pages if not re.match(r"decisions/\d", page)}


def test_start_how_to_and_migrate_are_in_chinese_too() -> None:
    pages = [page for folder in ("start", "how-to", "migrate") for page in (DOCS / folder).glob("*.md")]
    originals = [page for page in pages if not page.name.endswith(".zh.md")]
    assert len(originals) >= 27
    assert [page.name for page in originals if not page.with_suffix(".zh.md").is_file()] == []
    chinese = re.compile(r"^# .*[\u4e00-\u9fff]", re.MULTILINE)
    assert all(chinese.search(page.with_suffix(".zh.md").read_text(encoding="utf-8")) for page in originals)
