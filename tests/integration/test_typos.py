"""Every one-character slip in every key of every example config is found, before anything runs."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eng.config import Config
from eng.registry import check
from eng.runner.schema import SCHEMA

EXAMPLES = Path(__file__).parents[2] / "examples"
_LETTERS = "qwertyuiopasdfghjklzxcvbnm_"


def example_configs() -> list[Path]:
    """Files that are run as they are; what lies in `_base_` is only a part of one."""
    files = (file for file in sorted(EXAMPLES.rglob("*.py")) if "_base_" not in file.parts)
    return [file for file in files if "_base_ =" in file.read_text("utf-8") or "read_base" in file.read_text("utf-8")]


def slips(word: str) -> Iterator[str]:
    """The word with one letter missing, swapped with its neighbour, doubled, replaced, or one too many.

    A wrong letter stands for all of them, as what is near is counted in letters and not by which they are; which one it
    is changes with the place, so that each of the alphabet comes up somewhere.
    """
    edits = set()
    for at, letter in enumerate(word):
        wrong = _LETTERS[(7 * at + 3 * len(word)) % len(_LETTERS)]
        edits |= {word[:at] + word[at + 1 :], word[:at] + wrong + word[at + 1 :]}
        edits |= {word[:at] + letter + word[at:], word[:at] + wrong + word[at:]}
        edits.add(word[:at] + word[at + 1 : at + 2] + letter + word[at + 2 :])
    edits.add(word + _LETTERS[len(word) % len(_LETTERS)])
    return iter(sorted(edits - {word, ""}))


def key_paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each key with a meaning; names that the author of a config made up are theirs to spell."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if path or key in SCHEMA.keys:
            if isinstance(key, str):
                yield (*path, key)
            yield from key_paths(value, (*path, key))


def renamed(cfg: dict[str, Any], path: tuple[Any, ...], name: str) -> dict[str, Any]:
    changed = copy.deepcopy(cfg)
    node: Any = changed
    for key in path[:-1]:
        node = node[key]
    items = [(name if key == path[-1] else key, value) for key, value in node.items()]
    node.clear()
    node.update(items)
    return changed


@pytest.fixture(params=example_configs(), ids=lambda file: str(file.relative_to(EXAMPLES)))
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(sys, "path", [*sys.path, str(request.param.parent)])
    return Config.fromfile(request.param).to_dict()


def test_example_has_no_findings(example: dict[str, Any]) -> None:
    assert [str(finding) for finding in check(example, SCHEMA)] == []


def test_every_slip_in_every_key_is_found(example: dict[str, Any]) -> None:
    paths = list(key_paths(example))
    assert len(paths) > 20
    unseen = []
    for path in paths:
        siblings = set(_node_at(example, path[:-1]))
        for slip in slips(path[-1]):
            if slip not in siblings and not check(renamed(example, path, slip), SCHEMA):
                unseen.append((path, slip))
    assert unseen == []


def _node_at(cfg: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        cfg = cfg[key]
    return cfg
