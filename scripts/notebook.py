"""Makes docs/start/fifteen-minutes.ipynb of the page of the same name: prose and Python blocks, in order.

``python scripts/notebook.py --update`` writes the file; tests/docs/test_notebook.py holds it up to date and executes it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

START = Path(__file__).parents[1] / "docs/start"
PAGE, NOTEBOOK = START / "fifteen-minutes.md", START / "fifteen-minutes.ipynb"
_BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]+\)\n*")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def cells(text: str) -> list[dict[str, Any]]:
    """Cells of a page: what Jupyter runs is code, all other blocks stay in the prose."""
    parts: list[tuple[str, str]] = [("markdown", "")]
    end = 0
    for match in _BLOCK.finditer(text):
        parts.append(("markdown", text[end : match.start()]))
        parts.append(("code", match[2]) if match[1] == "python" else ("markdown", match[0]))
        end = match.end()
    parts.append(("markdown", text[end:]))
    return [_cell(kind, body.strip("\n"), number) for number, (kind, body) in enumerate(_merged(parts))]


def _merged(parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbouring prose in one part, without pictures and links, whose targets lie on the site."""
    merged: list[tuple[str, str]] = []
    for kind, body in parts:
        text = _LINK.sub(r"\1", _PICTURE.sub("", body)) if kind == "markdown" else body
        if merged and kind == merged[-1][0] == "markdown":
            merged[-1] = (kind, merged[-1][1] + text)
        else:
            merged.append((kind, text))
    return [(kind, body) for kind, body in merged if body.strip()]


def _cell(kind: str, body: str, number: int) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": body.splitlines(keepends=True)}
    return {**cell, "execution_count": None, "outputs": []} if kind == "code" else cell


def notebook() -> str:
    """The notebook, as the text of its file."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells(PAGE.read_text(encoding="utf-8")),
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if "--update" in sys.argv:
        NOTEBOOK.write_text(notebook(), encoding="utf-8")
    else:
        sys.stdout.write(notebook())
