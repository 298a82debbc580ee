"""Two gloo processes: the Runner's loop beside bare torch, the start beside bare torchrun, memory of FSDP2 beside DDP's."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

JOBS = Path(__file__).parents[1] / "tests/distributed"
sys.path.insert(0, str(JOBS))

from distributed_jobs import run_job

pytestmark = pytest.mark.timeout(300)


def test_loops_beside_bare_torch(versus: Any, tmp_path: Path) -> None:
    report = run_job(JOBS / "scale_job.py", tmp_path, 2, {"measure": "speed"}, timeout=250).report
    for name in ("ddp", "fsdp"):
        ratio, ours, bare = report[f"{name} ratio"], report[name], report[f"{name}_bare"]
        detail = f"median of 15 pairs in turn; the fastest {ours:.3f} s against {bare:.3f} s"
        versus.report(f"{name} x2, Runner / bare", f"{ratio:.3f}x", "<= 1.05", detail)


def test_peak_memory_of_shards(versus: Any, tmp_path: Path) -> None:
    size = {"measure": "layers", "width": 4096, "depth": 6, "steps": 2}
    ddp, fsdp = (
        run_job(JOBS / "scale_job.py", tmp_path / kind, 2, {**size, "kinds": [kind]}, timeout=140).report["peak"]
        for kind in ("ddp", "fsdp")
    )
    detail = f"{fsdp / 1e6:.0f} MB against {ddp / 1e6:.0f} MB"
    versus.report("peak of a rank, FSDP2 / DDP, 100 M parameters", f"{fsdp / ddp:.2f}x", "<= 0.62", detail)


def test_launch_to_first_step(versus: Any, tmp_path: Path) -> None:
    bare = tmp_path / "bare.py"
    bare.write_text(
        "import torch\n"
        "torch.distributed.init_process_group('gloo')\n"
        "model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(8, 1))\n"
        "model(torch.ones(2, 8)).sum().backward()\n"
        "torch.distributed.destroy_process_group()\n"
    )
    options = {"length": 8, "max_epochs": 1}
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for i in range(3):
        for name, script in (("ours", JOBS / "training_job.py"), ("bare", bare)):
            begin = time.perf_counter()
            assert run_job(script, tmp_path / f"{name}{i}", 2, options, timeout=60).code == 0
            seconds[name].append(time.perf_counter() - begin)
    ours, plain = min(seconds["ours"]), min(seconds["bare"])
    versus.report(
        "a job of one step, start to end", f"+{ours - plain:.2f} s", "<= +1 s", f"{ours:.2f} s / {plain:.2f} s"
    )


def test_a_job_ends_after_a_rank_raised(versus: Any, tmp_path: Path) -> None:
    options = {"trouble": "raise", "trouble_iter": 4, "max_epochs": 50}
    seconds = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        run_job(JOBS / "training_job.py", folder, 2, options, timeout=60)
        seconds.append(time.time() - float(next(folder.rglob("trouble.txt")).read_text()))
    versus.report("from a rank's exception to the end of the job", f"{max(seconds):.2f} s", "<= 5 s", "the worst of 3")
