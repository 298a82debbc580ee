from __future__ import annotations

import sys
import traceback
from typing import Any

import pytest

from eng.registry import Registry, build_chain


class Located(dict):
    """A mapping that knows where it came from, as eng.config's does."""

    line = 1

    def __where__(self, key: Any) -> str | None:
        return f"configs/a.py:{self.line}"


def lines_of(error: BaseException) -> list[str]:
    """The message of an error and its notes, as a traceback shows them."""
    return "\n".join([str(error), *getattr(error, "__notes__", [])]).splitlines()


def test_error_names_the_chain_with_file_and_line(nets: Registry) -> None:
    cfg = Located(type="Detector", backbone=Located(type="ResNet", depth=49))
    cfg["backbone"].line = 12
    with pytest.raises(ValueError, match="no depth 49") as caught:
        nets.build(cfg)
    assert type(caught.value) is ValueError
    assert lines_of(caught.value) == [
        "no depth 49",
        "while building configs/a.py:12 model.backbone → ResNet(depth=49)",
        "  inside configs/a.py:1 model → Detector(backbone=…)",
    ]
    assert [node.path for node in build_chain(caught.value)] == ["model", "model.backbone"]
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "__init__"


def test_path_of_a_copied_node_in_a_list_is_found_by_its_value(nets: Registry) -> None:
    good, bad = dict(type="ResNet", depth=18), dict(type="ResNet", depth=1)
    inner = dict(type="Detector", backbone=good, heads=[good, bad])
    with pytest.raises(ValueError, match="no depth 1") as caught:
        nets.build(dict(type="Detector", backbone=inner))
    assert [node.path for node in build_chain(caught.value)] == ["model", "model.backbone", "model.backbone.heads[1]"]


def test_a_long_call_is_shortened(nets: Registry) -> None:
    with pytest.raises(TypeError) as caught:
        nets.build(dict(type="ResNet", **{f"argument_{i}": "x" * 100 for i in range(20)}))
    assert len(str(build_chain(caught.value)[0])) < 120


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are new in Python 3.11")
def test_notes_of_the_error_itself_stay(nets: Registry) -> None:
    def noted() -> None:
        error = ValueError("words")
        error.add_note("of its own")
        raise error

    with pytest.raises(ValueError, match="words") as caught:
        nets.build(dict(type="Detector", backbone=dict(type=noted)))
    assert caught.value.__notes__[0] == "of its own"
    assert len(caught.value.__notes__) == 2
