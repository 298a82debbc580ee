"""A rank that raises, is killed or hangs: the job ends soon with the reason, or goes on exactly."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from eng.runner.launch import relaunch_with_agent, status_of

pytestmark = pytest.mark.timeout(90)
BY_ITERATION = {"by_epoch": False, "interval": 2}


def test_a_rank_that_raises_ends_the_job_with_its_traceback_first(job: Callable[..., Any]) -> None:
    done = job("raises", 2, ok=False, trouble="raise", trouble_iter=4, max_epochs=50)
    assert done.code != 0
    assert "the trouble that was asked for" in done.output
    other = done.output.find("PeerFailedError")
    assert other == -1 or done.output.index("ArithmeticError") < other


@pytest.mark.timeout(300)
def test_a_run_goes_on_exactly_after_a_rank_was_killed(job: Callable[..., Any]) -> None:
    whole = job("whole", 0, checkpoint=BY_ITERATION)
    for attempt in range(3):
        killed = job(
            f"killed-{attempt}",
            2,
            restarts=3,
            timeout=90,
            ok=False,
            checkpoint=BY_ITERATION,
            trouble="kill",
            trouble_iter=7,
        )
        # Now and then gloo still meets the port of the process that was killed, and gives up: no failure of ours.
        if killed.code == 0 or "connectFullMesh failed" not in killed.output:
            break
    assert killed.code == 0, killed.output[-4000:]
    # The last start reports what follows the checkpoint of iteration 6.
    assert killed.report["losses"] == pytest.approx(whole.report["losses"][6:], rel=1e-5)
    assert killed.report["samples"] == whole.report["samples"][6:]
    for name, values in whole.report["weights"].items():
        assert killed.report["weights"][name] == pytest.approx(values, rel=1e-4, abs=1e-5)


def test_a_rank_that_hangs_is_found_and_all_stacks_are_printed(job: Callable[..., Any]) -> None:
    begin = time.monotonic()
    done = job("hangs", 2, ok=False, trouble="hang", trouble_iter=3, dist={"timeout": 6}, timeout=70)
    assert done.code != 0
    assert "time.sleep(600)" in done.output or "before_train_iter" in done.output
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(("nproc", "restarts"), [(0, 0), (2, -1)])
def test_the_agent_refuses_numbers_that_make_no_sense(nproc: int, restarts: int) -> None:
    with pytest.raises(ValueError, match=f"got {nproc} and {restarts}"):
        relaunch_with_agent(nproc, [], restarts)


def test_a_signal_becomes_the_status_that_a_shell_reports() -> None:
    assert [status_of(code) for code in (0, 75, -9, -15)] == [0, 75, 137, 143]


def test_the_agent_gives_the_status_of_a_failing_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert relaunch_with_agent(2, ["train", "no-such-config.py"]) == 2
    assert "no-such-config.py" in capfd.readouterr().err
