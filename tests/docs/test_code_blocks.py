"""Every code block of the READMEs and of docs/ runs; `scripts/page_blocks.py` says how a page is read.

Lines that install things or start nox are what CI itself does, and are skipped here; `nox -s outside` and
`nox -s downstream` run the blocks that need other libraries. `tests/packaging/test_dist.py` runs the pages with shell blocks
on the built wheels.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import page_blocks

PAGES = [page for page in page_blocks.pages() if page_blocks.blocks(page, "python", *page_blocks.SHELL)]
TRANSLATED = sorted(ROOT.glob("docs/**/*.zh.md"))
NEEDING_LIBRARIES = [(page, libraries) for page in PAGES for libraries in page_blocks.needed_libraries(page)]


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.name)
def test_translated_page_has_the_blocks_of_its_original(page: Path) -> None:
    original = page.with_name(page.name.replace(".zh.md", ".md"))
    languages = ("python", *page_blocks.SHELL)
    assert page_blocks.blocks(page, *languages) == page_blocks.blocks(original, *languages)


def test_each_exception_leaves_out_a_command_of_a_page() -> None:
    scripts = [script for page in page_blocks.pages() for script in page_blocks.blocks(page, *page_blocks.SHELL)]
    lines = [line for script in scripts for line in page_blocks.commands(script)]
    assert [start for start in page_blocks.ELSEWHERE if not any(line.startswith(start) for line in lines)] == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a checkout to the blocks, so that what they write lands aside."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, checkout: Path) -> None:
    page_blocks.run_page(page, checkout, sysconfig.get_path("scripts"))


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("page", "libraries"),
    NEEDING_LIBRARIES,
    ids=[f"{page.stem}-{'-'.join(names)}" for page, names in NEEDING_LIBRARIES],
)
def test_blocks_with_libraries_run(page: Path, libraries: tuple[str, ...], checkout: Path) -> None:
    compile(page_blocks.script_of(page, libraries), page.name, "exec")
    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    page_blocks.run_page(page, checkout, sysconfig.get_path("scripts"), libraries)
