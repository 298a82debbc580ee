"""The search of the built site finds what users look for; `nox -s docs` builds the site and runs this."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

SITE = Path(os.environ.get("ENG_SITE", "no-site"))
pytestmark = pytest.mark.skipif(not SITE.is_dir(), reason="nox -s docs builds the site and runs these tests")
TERMS = {
    "tutorial": "tutorials/",
    "gradient accumulation": "how-to/accumulate-gradients/",
    "early stopping": "how-to/early-stopping/",
    "freeze": "how-to/freeze/",
    "fine-tune": "tutorials/fine-tuning/",
    "finetune": "tutorials/fine-tuning/",
    "resume": "how-to/resume/",
    "NaN loss": "how-to/debugging/",
    "Lightning": "migrate/from-lightning/",
    "BrokenCheckpointError": "troubleshooting/",
    "glossary": "glossary/",
    "multi GPU": "tutorials/several-gpus/",
    "out of memory": "how-to/save-memory/",
    "install": "start/install/",
}
CHINESE_TERMS = {  # as the words into which the site's builder divides them
    "提前 停止": "zh/how-to/early-stopping/",
    "梯度 累积": "zh/how-to/accumulate-gradients/",
    "显存": "zh/how-to/save-memory/",
    "安装": "zh/start/install/",
}


def entries() -> list[dict[str, str]]:
    """Sections of the pages in both languages, as the search of the site reads them."""
    return json.loads((SITE / "search/search_index.json").read_text(encoding="utf-8"))["docs"]


@pytest.fixture(scope="module")
def search() -> Callable[[str], list[str]]:
    """Pages in the order in which the search of the site ranks them: its library, with its weight of titles."""
    lunr = pytest.importorskip("lunr")
    documents = [entry for entry in entries() if not entry["location"].startswith("zh/")]
    fields = [{"field_name": "title", "boost": 1000}, {"field_name": "text"}]
    index = lunr.lunr(ref="location", fields=fields, documents=documents)

    def pages(term: str) -> list[str]:
        words = " ".join(f"+{word}" for word in re.split(r"[\s-]+", term) if len(word) > 2)  # not "of"
        return list(dict.fromkeys(result["ref"].partition("#")[0] for result in index.search(words)))

    return pages


@pytest.mark.parametrize(("term", "page"), TERMS.items())
def test_term_ranks_its_page_among_the_first_three(search: Callable[[str], list[str]], term: str, page: str) -> None:
    assert any(found.startswith(page) for found in search(term)[:3])


@pytest.mark.parametrize(("term", "page"), CHINESE_TERMS.items())
def test_words_of_a_chinese_term_are_words_of_its_page(term: str, page: str) -> None:
    """The browser looks up words, divided at the separator that the index names: a sentence in one piece is not found."""
    index = json.loads((SITE / "search/search_index.json").read_text(encoding="utf-8"))
    sections = [entry for entry in index["docs"] if entry["location"].startswith(page)]
    words = {
        word
        for entry in sections
        for word in re.split(index["config"]["separator"], f"{entry['title']} {entry['text']}")
    }
    assert set(term.split()) <= words


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
