from __future__ import annotations

import socket

import pytest
from dist_faults_parts import run_ranks


@pytest.mark.parametrize(
    "scenario",
    ["fails_while_others_communicate", "fails_while_others_compute", "fails_while_one_holds_the_interpreter"],
)
def test_failure_reaches_the_others_with_its_traceback(scenario: str) -> None:
    ends = run_ranks(scenario, ranks=3)
    assert [end.status for end in ends] == [1, 1, 1]
    assert "ValueError: the data of rank 1 is broken" in ends[1].err
    for end in (ends[0], ends[2]):
        # Raised, or logged by a rank that a busy machine keeps in native code for too long.
        assert f"rank 1 failed, so this rank stops; its traceback, on {socket.gethostname()}, was:" in end.err
        assert "the data of rank 1 is broken" in end.err and f"in {scenario}" in end.err


def test_exit_with_an_error_reaches_the_others() -> None:
    ends = run_ranks("exits_with_an_error")
    assert [end.status for end in ends] == [1, 3]
    assert "rank 1 failed, so this rank stops" in ends[0].err and "SystemExit: 3" in ends[0].err


def test_failure_that_the_program_catches_reaches_the_others() -> None:
    ends = run_ranks("is_caught_by_the_program")
    assert [end.status for end in ends] == [1, 1] and "told of 1 True" in ends[0].out
