"""Speed, use of the device, memory and gradients, in the lines that every run leaves, against truths of this file."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from eng.hooks._devices import host_memory_mb, peak_flops
from eng.hooks._ranks import compare_ranks
from eng.hooks._throughput import RunNumbers, throughput
from eng.logging.parts import PARTS, PartClock, charged
from eng.model import BaseModel
from eng.runner import Runner

DATA_S, FORWARD_S, BACKWARD_S, STEP_S, HOOK_S, VAL_S, SAVE_S = 0.010, 0.020, 0.014, 0.008, 0.006, 0.030, 0.040
PEAK = 1e9


class Slow(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        time.sleep(DATA_S / 4)
        return {"input_ids": torch.full((8,), float(index))}


class Pause(torch.autograd.Function):
    """Takes its time in the backward pass."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        return value * 1.0

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        time.sleep(BACKWARD_S)
        return grad


class Sleeps(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))

    def forward(self, input_ids: Any, mode: str = "tensor") -> Any:
        time.sleep(FORWARD_S if mode == "loss" else VAL_S)
        return {"loss": Pause.apply(self.weight).square().sum() / 2} if mode == "loss" else [0.0]


class SlowSGD(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        time.sleep(STEP_S)
        return super().step(closure)


from eng.evaluator import BaseMetric
from eng.hooks import Hook


class Pauses(Hook):
    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        time.sleep(HOOK_S)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        time.sleep(SAVE_S)


class Nothing(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(0)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"nothing": 0.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Two epochs of ten iterations, whose parts take times that this file sets."""
    folder = tmp_path_factory.mktemp("run")
    loader = dict(dataset=Slow(), batch_size=4, num_workers=0)
    model = Sleeps()
    runner = Runner(
        model, str(folder), train_dataloader=loader, val_dataloader=dict(dataset=Slow(), batch_size=20, num_workers=0),
        train_cfg=dict(max_epochs=2), val_cfg=dict(), val_evaluator=Nothing(), log_level="ERROR", custom_hooks=[Pauses()],
        optim_wrapper=dict(optimizer=SlowSGD(model.parameters(), lr=0.0)),
        default_hooks=dict(logger=dict(type="LoggerHook", interval=5, peak_flops=PEAK)),
    )  # fmt: skip
    runner.train()
    return runner


def scalars(runner: Runner) -> list[dict[str, Any]]:
    text = next(Path(runner.work_dir).glob("*/vis_data/scalars.json")).read_text(encoding="utf-8")
    return [line for line in map(json.loads, text.splitlines()) if "samples_per_s" in line]


TRUTH = {
    "data": 20 * DATA_S, "forward": 20 * FORWARD_S, "backward": 20 * BACKWARD_S, "step": 20 * STEP_S,
    "hooks": 20 * HOOK_S, "validation": 2 * (2 * VAL_S + 20 * 2 * DATA_S / 4), "saving": 2 * SAVE_S,
}  # fmt: skip


@pytest.mark.parametrize("part", TRUTH)
def test_parts_agree_with_the_times_that_were_set(run: Runner, part: str) -> None:
    """A sleep takes longer than it is asked to on a busy machine, never shorter, and our own work adds a little."""
    seconds = run.hook_list.part_clock.seconds[PARTS.index(part)]
    assert TRUTH[part] * 0.999 <= seconds <= TRUTH[part] * 1.5 + 0.6


def test_parts_add_up_to_the_time_of_the_training(tmp_path: Path) -> None:
    clock = PartClock()
    began = time.perf_counter()
    for _ in range(20):
        for part in range(4):
            clock.switch(part)
            time.sleep(0.001)
    clock.switch(0)
    assert clock.total == pytest.approx(time.perf_counter() - began, rel=0.02, abs=0.05)


def test_a_part_inside_another_is_charged_alone() -> None:
    clock = PartClock()
    clock.switch(0)
    before = time.perf_counter()
    with charged(clock, 6):
        time.sleep(0.02)
    inside = time.perf_counter() - before
    assert clock.part == 0
    assert clock.seconds[6] == pytest.approx(inside, rel=0.02, abs=0.05)
    assert clock.seconds[0] < 0.01


def test_the_table_names_parts_that_took_time() -> None:
    clock = PartClock()
    clock.seconds[:] = [10.0, 60.0, 0.0, 0.0, 0.0, 130.0, 0.0, 0.0]
    assert clock.table().splitlines() == [
        "Time per part (0:03:20 in all):",
        "  data          10.00 s   5.0%",
        "  forward       0:01:00  30.0%",
        "  validation    0:02:10  65.0%",
    ]


def test_the_run_ends_with_the_table(run: Runner) -> None:
    (log,) = Path(run.work_dir).glob("*/*.log")
    assert log.read_text().count("Time per part") == 0  # log_level="ERROR"
    assert run.hook_list.part_clock.table().splitlines()[1].startswith("  data")


def test_numbers_of_a_run_agree_with_its_clock(run: Runner) -> None:
    line = scalars(run)[1]
    assert line["samples_per_s"] == pytest.approx(4 / line["time"])
    assert line["data_share"] == pytest.approx(line["data_time"] / line["time"])
    iteration_s = DATA_S + FORWARD_S + BACKWARD_S + STEP_S + HOOK_S
    assert line["samples_per_s"] <= 4 / iteration_s


def test_tokens_and_the_use_of_the_device_follow_from_one_another(run: Runner) -> None:
    for line in scalars(run):
        assert line["tokens_per_s"] <= 32 / (DATA_S + FORWARD_S + BACKWARD_S + STEP_S + HOOK_S) * 1.001
        assert line["tokens_per_s"] == pytest.approx(32 / line["time"], rel=0.25)  # the mean covers other iterations
        assert line["mfu"] == pytest.approx(6 * 2 * line["tokens_per_s"] / PEAK)


def test_the_norm_of_the_gradients_is_that_of_torch(run: Runner) -> None:
    assert [line["grad_norm"] for line in scalars(run)] == [5.0] * 4  # the gradient of w²/2 is w = (3, 4)


def test_a_clock_of_known_seconds_gives_known_numbers() -> None:
    """Exact: 100 iterations of 64 tokens in 2 s, with 1000 parameters, on 4 devices of 1e7 operations per second."""
    numbers = RunNumbers(peak_flops=1e7)
    numbers.times, numbers._since, numbers._peak, numbers._parameters = PartClock(), [0.0] * 8, 1e7, 1000
    for _ in range(100):
        numbers.count({"input_ids": torch.zeros(4, 16)})
    numbers.times.switch(5)
    numbers.times.seconds[:] = [0.5, 0.5, 0.5, 0.25, 0.25, 99.0, 99.0, 0.0]  # validation and saving do not count
    found = numbers._by_clock(type("R", (), {"model": torch.nn.Linear(1, 1)}), 4)
    assert found["tokens_per_s"] == pytest.approx(100 * 64 * 4 / 2, rel=0.02)
    assert found["mfu"] == pytest.approx(6 * 1000 * 100 * 64 * 4 / 2 / 4e7, rel=0.02)


def test_given_operations_take_the_place_of_the_formula() -> None:
    numbers = RunNumbers(flops_per_iter=5e6, peak_flops=1e9)
    numbers.times, numbers._since, numbers._peak = PartClock(), [0.0] * 8, 1e9
    for _ in range(10):
        numbers.count([torch.zeros(1)])
    numbers.times.switch(5)
    numbers.times.seconds[:] = [0.1, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert numbers._by_clock(type("R", (), {"model": None}), 1) == {
        "mfu": pytest.approx(10 * 5e6 / 0.2 / 1e9, rel=0.02)
    }


def test_what_is_not_known_is_left_out() -> None:
    assert throughput({"time": 0.5, "data_time": 0.1}, None, 2) == {"data_share": 0.2}
    assert throughput({"time": 0.0, "data_time": 0.0}, 4, 1) == {}
    assert throughput({}, 4, 1) == {}
    assert peak_flops("AMD EPYC", torch.bfloat16) is None
    assert peak_flops("NVIDIA L4", torch.float32, allows_tf32=False) is None


@pytest.mark.parametrize(
    ("name", "dtype", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", torch.bfloat16, 989e12), ("NVIDIA H100 PCIe", torch.float16, 756e12),
        ("NVIDIA A100-SXM4-80GB", torch.float32, 156e12), ("NVIDIA A10", torch.float16, 125e12),
        ("NVIDIA L40S", torch.float16, 362e12), ("Tesla V100-SXM2-16GB", torch.float16, 125e12),
        ("NVIDIA GeForce RTX 4090", torch.bfloat16, 165e12), ("NVIDIA GeForce RTX 4000", torch.bfloat16, None),
    ],
)  # fmt: skip
def test_peaks_are_those_of_the_data_sheets(name: str, dtype: torch.dtype, peak: float | None) -> None:
    assert peak_flops(name, dtype) == peak


@pytest.mark.skipif(host_memory_mb() is None, reason="this system does not tell")
def test_memory_grows_by_what_is_taken() -> None:
    before = host_memory_mb()
    taken = torch.ones(100 * 2**20, dtype=torch.uint8)
    assert host_memory_mb() - before == pytest.approx(100, abs=5)
    del taken


def test_the_slowest_rank_is_named_with_the_part_from_20_percent_on() -> None:
    lag, rank = compare_ranks([[0.01, 0.09, 0.0], [0.01, 0.09, 0.0], [0.01, 0.108, 0.0], [0.01, 0.09, 0.0]])
    assert lag == pytest.approx(0.18)
    assert rank is None
    lag, rank = compare_ranks([[0.01, 0.09, 0.0], [0.06, 0.09, 0.0], [0.01, 0.09, 0.0]])
    assert lag == pytest.approx(0.5)
    assert str(rank) == (
        "Rank 1 is 50% slower than the median rank: 150.0 ms against 100.0 ms for each iteration before the backward pass, "
        "mostly in data. All ranks wait for it"
    )


@pytest.mark.timeout(120)
def test_a_rank_that_reads_slowly_is_named_once(tmp_path: Path) -> None:
    """120 ms of data against 20 ms beside 40 ms of forward: the second rank takes 160 ms where the first takes 60."""
    driver = Path(__file__).with_name("slow_rank_run.py")
    call = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(driver),
        str(tmp_path / "run"),
    ]
    with (tmp_path / "printed").open("w") as out:
        process = subprocess.Popen(
            call, stdout=out, stderr=out, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        try:
            status = process.wait(timeout=100)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    printed = (tmp_path / "printed").read_text()
    assert status == 0, printed[-3000:]
    assert len(re.findall(r"Rank 1 is \d+% slower", printed)) == 1
    assert "mostly in data. All ranks wait for it" in printed
    assert not re.search(r"Rank 0 is \d+% slower", printed)
    lines = [
        json.loads(line) for line in next((tmp_path / "run").glob("*/vis_data/scalars.json")).read_text().splitlines()
    ]
    # How large it is depends on what else the machine does.
    assert all(line["slowest_rank_lag"] > 0 for line in lines if "samples_per_s" in line)
