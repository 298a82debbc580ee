"""Draws docstrings, comments and functions at random, to be explained by a reader who does not know the code.

``python scripts/reading_items.py SEED`` prints ten of each with their text alone; ``--places`` adds file and line.
"""

from __future__ import annotations

import argparse
import ast
import io
import random
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ITEMS_PER_SORT = 10
FUNCTION_LINES = range(8, 26)
# Comments for a tool, which nobody reads as a sentence.
MARKS = ("# type:", "# noqa", "# pragma", "# fmt:", "#!")


@dataclass(frozen=True)
class Item:
    """A text to explain.

    Attributes:
        path: the file it stands in.
        line: number of its first line, from 1.
        text: the text, without its surroundings.
    """

    path: Path
    line: int
    text: str


def docstrings(path: Path, source: str) -> Iterator[Item]:
    """The docstrings of a module's functions, methods and classes, each with the line that it belongs to."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        text = ast.get_docstring(node)
        if text:
            yield Item(path, node.lineno, f"{lines[node.lineno - 1].strip()}\n{text}")


def comments(path: Path, source: str) -> Iterator[Item]:
    """The comments of a module; consecutive lines of comment are one item."""
    block: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(MARKS):
            stands_alone = not token.line[: token.start[1]].strip()
            if block and not (stands_alone and token.start[0] == block[-1].start[0] + 1):
                yield _comment(path, block)
                block = []
            block.append(token)
    if block:
        yield _comment(path, block)


def _comment(path: Path, block: list[tokenize.TokenInfo]) -> Item:
    first = block[0]
    code = first.line[: first.start[1]].strip()
    return Item(path, first.start[0], "\n".join([*([code] if code else []), *(token.string for token in block)]))


def functions(path: Path, source: str) -> Iterator[Item]:
    """The functions of a length that one reads at once."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_source_segment(source, node) or ""
            if text.count("\n") + 1 in FUNCTION_LINES:
                yield Item(path, node.lineno, text)


def main() -> None:
    """Prints the items that a seed draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--places", action="store_true", help="print file and line before each item")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    files = sorted(Path("packages").glob("*/src/**/*.py"))
    sources = [(path, path.read_text(encoding="utf-8")) for path in files]
    number = 0
    for sort in (docstrings, comments, functions):
        for item in draw.sample([item for source in sources for item in sort(*source)], ITEMS_PER_SORT):
            number += 1
            place = f" {item.path}:{item.line}" if options.places else ""
            print(f"--- {number} ({sort.__name__}){place}\n{item.text}\n")


if __name__ == "__main__":
    main()
