"""docs/coverage.md: every chapter of MMEngine's manual has a page here, and the navigation shows every page."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def coverage_page(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(DOCS.parent / "scripts"))
    return importlib.import_module("coverage_page")


def test_page_is_up_to_date(coverage_page: Any) -> None:
    text = (DOCS / "coverage.md").read_text(encoding="utf-8")
    assert text == coverage_page.page_text(), "run: python scripts/coverage_page.py --update"


def test_all_chapters_are_listed_once() -> None:
    text = (DOCS / "coverage.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d\d) \|", text, re.MULTILINE) == [f"{chapter:02}" for chapter in range(43)]


def test_each_comparison_with_the_manual_stands_in_its_row() -> None:
    text = (DOCS / "coverage.md").read_text(encoding="utf-8")
    assert re.search(r"^\| 26 \| Data elements \|.*`test_chapter_26_printed_elements` \|$", text, re.MULTILINE)


def test_kinds_of_a_page_are_those_that_run(coverage_page: Any, tmp_path: Path) -> None:
    """A file, an installation and another language are no example that runs."""
    page = tmp_path / "page.md"
    silent = (
        '# Page\n```python title="part.py"\nx = 1\n```\n```bash\npython -m pip install timm\n```\n```text\n1.0\n```\n'
    )
    page.write_text(silent, encoding="utf-8")
    assert coverage_page.tested_kinds(page) == []
    running = '```python\n1 + 1\n```\n```bash\neng --version\n```\n```python title="needs timm"\nimport timm\n```\n'
    page.write_text(silent + running, encoding="utf-8")
    assert coverage_page.tested_kinds(page) == ["Python", "shell", "with timm"]


def test_a_chapter_whose_pages_run_nothing_is_refused(coverage_page: Any) -> None:
    pages = [DOCS / "architecture.md", DOCS / "glossary.md"]
    with pytest.raises(
        ValueError, match=r"no page of the chapter has a block that runs \(architecture\.md, glossary\.md\)"
    ):
        coverage_page.page_links(pages)


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
