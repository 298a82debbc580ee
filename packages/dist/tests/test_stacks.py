from __future__ import annotations

from dist_faults_parts import run_ranks


def test_rank_stuck_in_native_code_is_ended() -> None:
    ends = run_ranks("fails_while_others_are_in_native_code")
    assert ends[0].status == 1
    assert "stuck in native code" in ends[0].err and "the data of rank 1 is broken" in ends[0].err
    assert "in fails_while_others_are_in_native_code" in ends[0].err.split("most recent call first")[-1]


def test_long_wait_shows_the_stack_of_every_rank() -> None:
    ends = run_ranks("comes_late", ranks=3, ENG_DIST_HANG_SECONDS="1")
    assert [end.status for end in ends] == [0, 0, 0], ends
    reports = [part for end in ends for part in end.err.split("what every rank does")[1:]]
    for late, call, line in ((1, "barrier", "the line that the others are shown"), (2, "all_reduce", "another line")):
        report, *more = [each for each in reports if line in each]
        assert not more  # one rank speaks for all, once
        assert f"--- rank {late}: in no collective" in report
        assert all(f"--- rank {rank}: in {call} for" in report for rank in {0, 1, 2} - {late})
    in_block = [each for each in reports if "a line in the block" in each]
    assert len(in_block) == 1 and all(f"--- rank {rank}: in the step for" in in_block[0] for rank in range(3))
