from __future__ import annotations

from dist_faults_parts import run_ranks


def test_debug_mode_says_who_disagrees_from_which_line() -> None:
    ends = run_ranks("disagree", ranks=3, ENG_DIST_DEBUG="1")
    assert [end.status for end in ends] == [0, 0, 0], [end.err[-1500:] for end in ends]


def test_debug_mode_says_who_left() -> None:
    ends = run_ranks("leaves_early", ENG_DIST_DEBUG="1")
    assert [end.status for end in ends] == [1, 0]
    assert "CollectiveTimeoutError: all_reduce at" in ends[0].err and "waits for rank 1, which has left" in ends[0].err
