"""The search of the built site finds what users look for; `nox -s docs` builds the site and runs this."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

SITE = Path(os.environ.get("ENG_SITE", "no-site"))
pytestmark = pytest.mark.skipif(not SITE.is_dir(), reason="nox -s docs builds the site and runs these tests")
TERMS = {
    "tutorial": "tutorials/image-folder/",
    "gradient accumulation": "how-to/accumulate-gradients/",
    "early stopping": "how-to/early-stopping/",
    "freeze": "how-to/freeze/",
    "fine-tune": "tutorials/fine-tuning/",
    "resume": "how-to/resume/",
    "NaN": "how-to/debugging/",
    "Lightning": "migrate/from-lightning/",
    "BrokenCheckpointError": "troubleshooting/",
    "glossary": "glossary/",
    "提前停止": "zh/how-to/early-stopping/",
    "梯度累积": "zh/how-to/accumulate-gradients/",
}


def entries() -> list[dict[str, str]]:
    """Sections of all pages, as the search of the site reads them."""
    indices = [*SITE.glob("search/search_index.json"), *SITE.glob("zh/search/search_index.json")]
    return [entry for index in indices for entry in json.loads(index.read_text(encoding="utf-8"))["docs"]]


@pytest.mark.parametrize(("term", "page"), TERMS.items())
def test_term_finds_its_page(term: str, page: str) -> None:
    texts = [entry["title"] + " " + entry["text"] for entry in entries() if entry["location"].startswith(page)]
    assert texts
    assert any(re.search(re.escape(term), text, re.IGNORECASE) for text in texts)


def test_pages_ask_no_other_server() -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in SITE.rglob("*.html")}
    foreign = re.compile(
        r'<(?:script|img|iframe)[^>]+src="?(?:https?:)?//|<link[^>]+rel="?stylesheet[^>]+href="?(?:https?:)?//'
    )
    assert len(pages) > 100
    assert [str(page) for page, text in pages.items() if foreign.search(text)] == []


def test_diagrams_are_drawn() -> None:
    page = (SITE / "concepts/a-batch/index.html").read_text(encoding="utf-8")
    assert '<figure class="diagram"><svg' in page
    assert "flowchart TD" not in page
