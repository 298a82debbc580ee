from __future__ import annotations

from dist_faults_parts import run_ranks


def test_watch_can_be_switched_off() -> None:
    ends = run_ranks("fails_while_others_communicate", ENG_DIST_WATCH="0")
    assert ends[0].status != 0 and "PeerFailedError" not in ends[0].err
