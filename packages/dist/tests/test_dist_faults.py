"""What every rank sees when one of them fails, hangs, leaves or disagrees: real processes, started by hand.

Nothing but eng.dist ends the other ranks here: there is no agent as under torchrun. They would wait for minutes.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dist_faults_parts import HERE, run_ranks


def test_failure_reaches_a_late_rank_though_the_one_that_serves_the_store_ends_well() -> None:
    ends = run_ranks("fails_while_rank_0_ends", ranks=3)
    assert [end.status for end in ends[1:]] == [1, 1]
    assert "PeerFailedError: rank 1 failed, so this rank stops" in ends[2].err


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


def test_ranks_end_with_the_launcher_that_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    out, err = tmp_path / "out.txt", tmp_path / "err.txt"
    with out.open("w") as out_file, err.open("w") as err_file:
        launcher = subprocess.Popen(
            [*command, str(HERE / "dist_scenarios.py"), "outlives_its_launcher"],
            env=os.environ | {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"},
            stdout=out_file,
            stderr=err_file,
            start_new_session=True,
        )
    try:
        wait_until(lambda: len(started_ranks(out)) == 2, timeout_s=60)
        ranks = started_ranks(out)
        launcher.kill()
        launcher.wait()
        wait_until(lambda: not any(map(is_running, ranks)), timeout_s=60)
    finally:
        for group in {launcher.pid, *started_ranks(out)}:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
    assert f"LauncherLostError: the launcher (process {launcher.pid}) is gone, so rank 1 stops" in err.read_text()


def started_ranks(output: Path) -> list[int]:
    """Process ids in the output of both ranks. With torch 2.9 the output also contains lines that gloo prints."""
    return [int(pid) for pid in re.findall(r"started (\d+)\n", output.read_text())]


def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"still not so after {timeout_s} s"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
