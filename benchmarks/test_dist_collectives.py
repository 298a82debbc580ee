"""eng.dist beside the bare `torch.distributed` calls, with two gloo processes in one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eng.dist import find_free_port

WORKER = Path(__file__).with_name("dist_bench_worker.py")


def run_two(*args: str) -> list[tuple[int, str]]:
    """Exit status and output of the worker's two ranks."""
    common = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_port())}
    common["OMP_NUM_THREADS"] = "1"
    started = [
        subprocess.Popen(
            [sys.executable, str(WORKER), *args],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    out = [process.communicate(timeout=170)[0] for process in started]
    return [(process.returncode, text) for process, text in zip(started, out, strict=True)]


@pytest.fixture(scope="module")
def figures() -> Any:
    ends = run_two()
    assert [status for status, _ in ends] == [0, 0]
    return json.loads(ends[0][1].strip().splitlines()[-1])


def test_wrappers_add_little(versus: Any, figures: Any) -> None:
    for name, added_us in figures["costs"].items():
        versus.report(f"dist.{name} adds", f"{added_us:.2f} us", "<= 5 us", "Python time, nothing sent")
    ours, bare = figures["all_reduce"]
    versus.report("dist.all_reduce", f"{ours - bare:+.2f} us", "<= 5 us", f"{ours:.1f} us against {bare:.1f} us, gloo")


def test_objects_beside_one_pickled_all_gather(versus: Any, figures: Any) -> None:
    for name in ("all_gather_object", "collect_results cpu", "collect_results gpu"):
        ours, bare = figures[name]
        detail = f"{ours / 1e3:.2f} ms against {bare / 1e3:.2f} ms, 10,000 small dicts"
        versus.report(name, f"{ours / bare:.2f}x", "<= 1.2", detail)


def test_peak_memory_of_the_destination(versus: Any, figures: Any) -> None:
    for device in ("cpu", "gpu"):
        versus.report(f"peak of collect_results {device}", f"{figures[f'peak {device}']:.2f}x", "<= 2.5", "of the data")


@pytest.mark.parametrize("what_others_do", ["communicate", "compute"])
def test_failure_reaches_the_others(versus: Any, what_others_do: str) -> None:
    (_, heard), (status, failed) = run_two(what_others_do)
    assert status == 1
    seconds = float(heard) - float(failed)
    versus.report(
        f"failure while others {what_others_do}", f"{seconds:.2f} s", "<= 5 s", "until they have the traceback"
    )
