"""The search of the built site finds what users look for; `nox -s docs` builds the site and runs this."""

from __future__ import annotations

import html
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
    "patience": "how-to/early-stopping/",
    "freeze": "how-to/freeze/",
    "fine-tune": "tutorials/fine-tuning/",
    "finetune": "tutorials/fine-tuning/",
    "transfer learning": "tutorials/fine-tuning/",
    "pretrained weights": "tutorials/fine-tuning/",
    "text classification": "tutorials/fine-tuning/",
    "huggingface": "tutorials/fine-tuning/",
    "resume": "how-to/resume/",
    "NaN loss": "how-to/debugging/",
    "nan": "how-to/debugging/",
    "deadlock": "how-to/debugging/",
    "Lightning": "migrate/from-lightning/",
    "callback": "how-to/write-a-hook/",
    "BrokenCheckpointError": "troubleshooting/",
    "glossary": "glossary/",
    "multi GPU": "tutorials/several-gpus/",
    "ddp": "tutorials/several-gpus/",
    "LLM": "tutorials/gpt/",
    "out of memory": "how-to/save-memory/",
    "oom": "how-to/save-memory/",
    "install": "start/install/",
    "confusion matrix": "evaluation/",
    "label smoothing": "bring-your-own/",
    "class imbalance": "bring-your-own/",
    "mixup": "bring-your-own/",
    "custom loss": "bring-your-own/",
    "lora": "bring-your-own/",
    "mixed precision": "optim/",
    "grad clip": "optim/",
    "gradient clipping": "optim/",
    "weight decay": "optim/",
    "learning rate warmup": "optim/",
    "reduce on plateau": "optim/",
    "cosine annealing": "optim/",
    "learning rate finder": "tune/",
    "batch size finder": "tune/",
    "hyperparameter search": "tune/",
    "cross validation": "data/",
    "tensorboard": "visualization/",
    "wandb": "visualization/",
    "seed": "how-to/set-the-seed/",
    "reproducibility": "how-to/set-the-seed/",
    "checkpoint best": "checkpoints/",
    "distributed sampler": "dataset/",
    "torch compile": "memory-and-speed/",
    "onnx": "how-to/export/",
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
    """Pages in the order in which the search box of the site ranks them.

    The box looks for sections with any word of the question, or with a word that begins like it. It prefers titles, sections
    with all words, and the top of a page. Words are not stemmed: "imbalance" finds "imbalanced", and not the other way round.
    """
    pytest.importorskip("lunr")
    from lunr.builder import Builder
    from lunr.stop_word_filter import stop_word_filter

    separator = json.loads((SITE / "search/search_index.json").read_text(encoding="utf-8"))["config"]["separator"]

    def words(text: str) -> str:
        return re.sub(separator, " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))

    builder = Builder()
    builder.pipeline.add(stop_word_filter)
    builder.ref("location")
    builder.field("title", boost=1000)
    builder.field("text")
    for entry in entries():
        if not entry["location"].startswith("zh/"):
            builder.add({"location": entry["location"], "title": words(entry["title"]), "text": words(entry["text"])})
    index = builder.build()

    def pages(term: str) -> list[str]:
        asked = words(term.lower()).split()
        scores: dict[str, float] = {}
        for result in index.search(" ".join(f"{word}*" for word in asked)):
            page, _, section = result["ref"].partition("#")
            found = result["match_data"].metadata
            matched = sum(any(word.startswith(start) for word in found) for start in asked)
            score = result["score"] * (1 + (matched / len(asked) + (not section)) ** 2)
            scores[page] = max(scores.get(page, 0.0), score)
        return sorted(scores, key=lambda page: -scores[page])

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
