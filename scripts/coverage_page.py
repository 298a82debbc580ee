"""Writes docs/coverage.md: which pages cover each chapter of MMEngine's manual, and which tests run what they show.

Chapters and pages come from docs/chapters.toml, titles and blocks from the pages, tests from tests/compat/test_manual_outputs.py.
``python scripts/coverage_page.py --update`` writes the page; without ``--update`` it prints it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import tomllib

sys.path.insert(0, str(Path(__file__).parent))
import page_blocks
from marked_table import markdown_table

DOCS = page_blocks.ROOT / "docs"
PAGE, CHAPTERS = DOCS / "coverage.md", DOCS / "chapters.toml"
OUTPUTS = page_blocks.ROOT / "tests/compat/test_manual_outputs.py"
INTRODUCTION = """# The manual, chapter by chapter

Each row is a chapter of MMEngine's manual and links the pages of this site that teach its topic. The brackets after a
page name the blocks of this page that tests run:

| in brackets | which blocks | run by |
| --- | --- | --- |
| Python, shell | the page's Python blocks, the page's shell commands | `tests/docs/test_code_blocks.py` |
| with a library | Python blocks that need this library | `nox -s outside` or `nox -s downstream`, which install it |

The last column names the tests of `tests/compat/test_manual_outputs.py` that compare what eng prints with what the manual prints.

`python scripts/coverage_page.py --update` writes this page. A person chooses the pages of a chapter, in `docs/chapters.toml`; the rest is
read from the pages and tests.

"""
HEAD = ("chapter", "topic", "pages (blocks that run)", "tests of printed output")


def main() -> None:
    """Prints the page, or writes it with ``--update``."""
    if "--update" in sys.argv:
        PAGE.write_text(page_text(), encoding="utf-8")
    else:
        print(page_text())


def page_text() -> str:
    """The text of docs/coverage.md."""
    chapters: dict[str, dict[str, Any]] = tomllib.loads(CHAPTERS.read_text(encoding="utf-8"))
    rows = []
    for number, chapter in sorted(chapters.items()):
        links = page_links([DOCS / name for name in chapter["pages"]])
        rows.append((number, chapter["topic"], links, ", ".join(output_tests(number))))
    return INTRODUCTION + markdown_table(HEAD, rows)


def page_links(pages: list[Path]) -> str:
    """Links to the pages of a chapter by their titles, each with the kinds of its blocks that the tests run.

    Raises:
        ValueError: no page has such a block, so that the chapter's examples have no counterpart that is known to work.
    """
    kinds = {page: tested_kinds(page) for page in pages}
    if not any(kinds.values()):
        names = ", ".join(page.name for page in pages)
        raise ValueError(
            f"no page of the chapter has a block that runs ({names}): add an example, or name another page"
        )
    cells = []
    for page, tested in kinds.items():
        cell = link(page)
        if tested:
            cell += f" ({', '.join(tested)})"
        cells.append(cell)
    return ", ".join(cells)


def link(page: Path) -> str:
    """A link to a page by its title."""
    title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    return f"[{title}]({page.relative_to(DOCS).as_posix()})"


def tested_kinds(page: Path) -> list[str]:
    """What the tests run of a page: ``Python``, ``shell``, and each set of libraries that blocks need."""
    kinds = []
    if page_blocks.script_of(page):
        kinds.append("Python")
    if any(page_blocks.tested_commands(script) for script in page_blocks.blocks(page, *page_blocks.SHELL)):
        kinds.append("shell")
    return kinds + [f"with {' and '.join(libraries)}" for libraries in page_blocks.needed_libraries(page)]


def output_tests(number: str) -> list[str]:
    """Names of the tests that compare with what a chapter prints."""
    names = re.findall(rf"^def (test_chapter_{number}_\w+)", OUTPUTS.read_text(encoding="utf-8"), re.MULTILINE)
    return [f"`{name}`" for name in names]


if __name__ == "__main__":
    main()
