"""What every rank sees when one of them fails, hangs, leaves or disagrees: real processes, started by hand.

Nothing but eng.dist ends the other ranks here: there is no agent as under torchrun. They would wait for minutes.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from dist_faults_parts import HERE, run_ranks


@pytest.mark.parametrize(
    "scenario",
    ["fails_while_others_communicate", "fails_while_others_compute", "fails_while_one_holds_the_interpreter"],
)
def test_failure_reaches_the_others_with_its_traceback(scenario: str) -> None:
    ends = run_ranks(scenario, ranks=3)
    assert [end.status for end in ends] == [1, 1, 1]
    assert "ValueError: the data of rank 1 is broken" in ends[1].err
    for end in (ends[0], ends[2]):
        assert "PeerFailedError: rank 1 failed, so this rank stops" in end.err
        assert "the data of rank 1 is broken" in end.err and f"in {scenario}" in end.err


def test_failure_reaches_a_late_rank_though_the_one_that_serves_the_store_ends_well() -> None:
    ends = run_ranks("fails_while_rank_0_ends", ranks=3)
    assert [end.status for end in ends[1:]] == [1, 1]
    assert "PeerFailedError: rank 1 failed, so this rank stops" in ends[2].err


def test_rank_stuck_in_native_code_is_ended() -> None:
    ends = run_ranks("fails_while_others_are_in_native_code")
    assert ends[0].status == 1
    assert "stuck in native code" in ends[0].err and "the data of rank 1 is broken" in ends[0].err
    assert "in fails_while_others_are_in_native_code" in ends[0].err.split("most recent call first")[-1]


def test_exit_with_an_error_reaches_the_others() -> None:
    ends = run_ranks("exits_with_an_error")
    assert [end.status for end in ends] == [1, 3]
    assert "PeerFailedError: rank 1 failed" in ends[0].err and "SystemExit: 3" in ends[0].err


def test_failure_that_the_program_catches_reaches_the_others() -> None:
    ends = run_ranks("is_caught_by_the_program")
    assert [end.status for end in ends] == [1, 1] and "told of 1 True" in ends[0].out


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


def test_debug_mode_says_who_disagrees_from_which_line() -> None:
    ends = run_ranks("disagree", ranks=3, ENG_DIST_DEBUG="1")
    assert [end.status for end in ends] == [0, 0, 0], [end.err[-1500:] for end in ends]


def test_debug_mode_says_who_left() -> None:
    ends = run_ranks("leaves_early", ENG_DIST_DEBUG="1")
    assert [end.status for end in ends] == [1, 0]
    assert "CollectiveTimeoutError: all_reduce at" in ends[0].err and "waits for rank 1, which has left" in ends[0].err


@pytest.mark.parametrize(
    ("scenario", "call"),
    [("sends_more_than_the_other", "all_reduce"), ("trains_one_batch_more", "the training step|all_reduce")],
)
def test_ranks_that_call_different_collectives_are_named_before_the_job_ends(scenario: str, call: str) -> None:
    """gloo aborts one rank in native code; the other rank and the stack of the aborted one name the calls."""
    ends = run_ranks(scenario)
    aborted, survivor = sorted(ends, key=lambda end: end.status)
    assert aborted.status == -signal.SIGABRT and f"in {scenario}" in aborted.err
    pattern = rf"rank \d: ({call}), called at .*dist_scenarios.py:\d+, broke off.*[\s\S]*ENG_DIST_DEBUG=1"
    assert re.search(pattern, survivor.err), survivor.err


def test_ranks_end_with_the_launcher_that_was_killed() -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    launcher = subprocess.Popen(
        [*command, str(HERE / "dist_scenarios.py"), "outlives_its_launcher"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout is not None
    ranks = [int(launcher.stdout.readline().split()[1]) for _ in range(2)]
    launcher.kill()
    _, err = launcher.communicate(timeout=60)  # the ranks hold the other ends of the pipes until they end
    assert not [pid for pid in ranks if is_running(pid)]
    assert f"LauncherLostError: the launcher (process {launcher.pid}) is gone, so rank 1 stops" in err


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
