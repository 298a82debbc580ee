"""A rank that raises, is killed or hangs: the job ends soon with the reason, or goes on exactly."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eng.runner.launch import relaunch_with_agent, status_of

pytestmark = pytest.mark.timeout(150)
BY_ITERATION = {"by_epoch": False, "interval": 2}


def test_a_rank_that_raises_ends_the_job_with_its_traceback_first(job: Callable[..., Any], tmp_path: Path) -> None:
    done = job("raises", 2, ok=False, trouble="raise", trouble_iter=4, max_epochs=50)
    ended = time.time()
    assert done.code not in (0, "still running after 120 s")
    assert "the trouble that was asked for" in done.output
    other = done.output.find("PeerFailedError")
    assert other == -1 or done.output.index("ArithmeticError") < other
    # Five seconds are promised, and measured by the benchmarks; torchrun alone would wait 30 for a rank that is stuck.
    assert ended - float((tmp_path / "raises" / "work" / "trouble.txt").read_text()) < 25


def test_a_run_goes_on_exactly_after_a_rank_was_killed(job: Callable[..., Any]) -> None:
    whole = job("whole", 0, checkpoint=BY_ITERATION)
    killed = job("killed", 2, restarts=1, checkpoint=BY_ITERATION, trouble="kill", trouble_iter=7)
    # The last start reports what follows the checkpoint of iteration 6.
    assert killed.report["losses"] == pytest.approx(whole.report["losses"][6:], rel=1e-5)
    assert killed.report["samples"] == whole.report["samples"][6:]
    for name, values in whole.report["weights"].items():
        assert killed.report["weights"][name] == pytest.approx(values, rel=1e-4, abs=1e-5)


def test_a_rank_that_hangs_is_found_and_all_stacks_are_printed(job: Callable[..., Any]) -> None:
    limits = {"dist": {"timeout": 25}, "env": {"ENG_DIST_HANG_SECONDS": "6"}}
    done = job("hangs", 2, ok=False, trouble="hang", trouble_iter=3, **limits)
    assert done.code not in (0, "still running after 120 s")
    report = done.output[done.output.rindex("what every rank does") :]  # a slow start may have been reported before
    waits, hangs = report.index("--- rank 0: in "), report.index("--- rank 1: in no collective")
    assert waits < report.index("run_backward") < hangs < report.index("time.sleep(600)")


@pytest.mark.parametrize(("nproc", "restarts"), [(0, 0), (2, -1)])
def test_the_agent_refuses_numbers_that_make_no_sense(nproc: int, restarts: int) -> None:
    with pytest.raises(ValueError, match=f"got {nproc} and {restarts}"):
        relaunch_with_agent(nproc, [], restarts)


def test_a_signal_becomes_the_status_that_a_shell_reports() -> None:
    assert [status_of(code) for code in (0, 75, -9, -15)] == [0, 75, 137, 143]


def test_the_agent_gives_the_status_of_a_failing_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert relaunch_with_agent(2, ["train", "no-such-config.py"]) == 2
    assert "no-such-config.py" in capfd.readouterr().err
