"""What `mkdocs build` does to the pages beyond its plug-ins: drawings for Mermaid blocks, anchors for error classes."""

from __future__ import annotations

import html
import logging
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from diagrams import DRAWINGS, drawing_name

log = logging.getLogger("mkdocs.hooks.site")  # warnings below mkdocs fail a strict build
_MERMAID = re.compile(r'<pre class="mermaid"><code>(.*?)</code></pre>', re.DOTALL)
# In the search: pages that teach stand above those that list names or tell history.
_SEARCH_BOOSTS = {
    "start/": 4,
    "tutorials/": 4,
    "how-to/": 4,
    "troubleshooting.": 4,
    "api/": 0.5,
    "decisions/": 0.5,
    "benchmarks.": 0.5,
}
_FIRST_CELL = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \|", re.MULTILINE)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Sets the page's weight in the search, and gives each error class of troubleshooting an anchor.

    An anchor reads ``troubleshooting/#BrokenCheckpointError``.
    """
    for start, boost in _SEARCH_BOOSTS.items():
        if page.file.src_uri.startswith(start):
            page.meta["search"] = {"boost": boost}
    if not page.file.src_uri.startswith("troubleshooting."):
        return markdown
    return _FIRST_CELL.sub(lambda match: re.sub(r"`(\w+)`", r'<span id="\1">`\1`</span>', match[0]), markdown)


def on_page_content(content: str, *, page: Any, **_: Any) -> str:
    """Shows the drawings of Mermaid blocks, so that a reader's browser needs neither a network nor the library."""

    def drawing(match: re.Match[str]) -> str:
        file = DRAWINGS / f"{drawing_name(html.unescape(match[1]))}.svg"
        if not file.is_file():
            log.warning("%s: a Mermaid block has no drawing; run: nox -s diagrams", page.file.src_uri)
            return match[0]
        return f'<figure class="diagram">{file.read_text(encoding="utf-8")}</figure>'

    return _MERMAID.sub(drawing, content)
