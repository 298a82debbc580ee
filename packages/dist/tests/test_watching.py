from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from eng.dist import PeerFailedError
from eng.dist._watching import Wait


def watch(fault: PeerFailedError | None = None) -> Any:
    return SimpleNamespace(waiting=None, raise_if_failed=lambda: None, fault_behind=lambda error: fault)


def test_a_block_inside_gives_back_what_it_is_part_of() -> None:
    watching = watch()
    with Wait(watching, "outer"):
        outer = watching.waiting
        with Wait(watching, "inner"):
            assert watching.waiting[0] == "inner"
        assert watching.waiting is outer and outer[0] == "outer"
    assert watching.waiting is None


def test_a_broken_connection_is_told_once_as_the_failure_behind_it() -> None:
    fault, broken = PeerFailedError(1, "Traceback"), RuntimeError("Connection closed by peer")
    watching = watch(fault)
    with pytest.raises(PeerFailedError) as caught, Wait(watching, "outer"), Wait(watching, "inner"):
        raise broken
    assert caught.value is fault and fault.__cause__ is broken and watching.waiting is None


def test_other_errors_come_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="^mine$") as caught, Wait(watch(), "block"):
        raise RuntimeError("mine")
    assert caught.value.__cause__ is None
    with pytest.raises(ValueError, match="^mine$"), Wait(watch(PeerFailedError(1, "")), "block"):
        raise ValueError("mine")
