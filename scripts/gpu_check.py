"""Checks eng on an accelerator and prints a table; see `gpu_check.sh`."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from gpu_models import CASES, Classifier
from gpu_parts import Losses, PeakMemory, RefuseToWait, Repeat, Setup, make_runner
from gpu_speed import async_save, compiled, input_path, overhead, throughput
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.dist import find_free_port

ROOT = Path(__file__).resolve().parents[1]
BUDGET_S = 460.0  # the whole check ends within eight minutes
TESTS_S = 85.0  # for all tests marked `gpu`
ROW = "ROW "  # begins the lines in which a process tells the other one of a check


def marked_tests(setup: Setup) -> str:
    """The tests marked `gpu`, which CI skips; each file in a process of its own, all at once."""
    files = [file for file in sorted([*ROOT.glob("packages/*/tests/**/test_*.py"), *ROOT.glob("tests/distributed/test_*.py")])
             if "mark.gpu" in file.read_text(encoding="utf-8")]  # fmt: skip
    if setup.is_small:
        files = [file for file in files if "structures" in file.parts]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "--timeout", "80"]
    runs = [
        subprocess.Popen([*command, str(file)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for file in files
    ]
    deadline = time.monotonic() + TESTS_S
    try:
        outputs = [run.communicate(timeout=deadline - time.monotonic())[0].strip() for run in runs]
    finally:
        for run in runs:
            run.kill()
            run.wait()
    lines = [f"{file.stem} {output.splitlines()[-1]}" for file, output in zip(files, outputs, strict=True)]
    failed = [output[-3000:] for run, output in zip(runs, outputs, strict=True) if run.returncode != 0]
    if failed:
        raise AssertionError("\n".join([*failed, *lines]))
    return "; ".join(lines)


def loop_without_waits(setup: Setup) -> str:
    """30 iterations with the default hooks, none of which waits for the device; plain, and with all that is often added."""
    rich: dict[str, Any] = {
        "optim": {
            "type": "AmpOptimWrapper", "dtype": "bfloat16", "optimizer": {"type": "AdamW", "lr": 1e-3},
            "clip_grad": {"max_norm": 1.0}, "accumulative_counts": 2,
        },
        "param_scheduler": {"type": "CosineAnnealingLR", "T_max": 30, "by_epoch": False},
        "custom_hooks": [RefuseToWait(), {"type": "EMAHook"}],
    }  # fmt: skip
    for settings in ({"custom_hooks": [RefuseToWait()]}, rich):
        case = CASES["ViT-B/16"](setup.device, True)
        hooks = {"checkpoint": None, "logger": {"type": "LoggerHook", "interval": 1000}}
        try:
            runner = make_runner(case.model, Repeat(case.batch, 30), default_hooks=hooks, **settings)
            runner.train()
        finally:
            if torch.cuda.is_available():
                torch.cuda.set_sync_debug_mode("default")
        assert runner.iter == 30
    return (
        "30 iterations, nothing waited: SGD in float32; AdamW in bfloat16 with clipping, accumulation, schedule and EMA"
    )


def overflow(setup: Setup) -> str:
    """AMP in float16 whose first loss scale overflows: steps are skipped, the scale falls, the weights stay finite."""
    if setup.device.type == "cpu":
        return "needs an accelerator: float16 overflows are scaled there only"
    case = CASES["ViT-B/16"](setup.device, True)
    optim = {
        "type": "AmpOptimWrapper",
        "dtype": "float16",
        "loss_scale": {"init_scale": 2.0**40, "growth_interval": 1000},
    }
    runner = make_runner(case.model, Repeat(case.batch, 60), optim=optim)
    runner.train()
    scale = runner.optim_wrapper.loss_scaler.get_scale()
    assert scale < 2.0**40
    assert all(parameter.isfinite().all() for parameter in case.model.parameters())
    return f"scale fell from 2^40 to {scale:g}, weights are finite"


def one_rank(setup: Setup) -> str:
    """A process group of one rank over NCCL (gloo on the CPU), with DDP and with FSDP2."""
    program = (
        "import sys, torch; sys.path.insert(0, 'scripts'); import gpu_check as c\n"
        "setup = c.Setup(torch.device(sys.argv[1]), True)\n"
        "for strategy in (None, {'type': 'FSDP2'}):\n"
        "    case = c.CASES['ViT-B/16'](setup.device, True)\n"
        "    data = c.TensorDataset(*(tensor.cpu() for tensor in case.batch))\n"
        "    runner = c.make_runner(case.model, c.DataLoader(data, batch_size=4), strategy=strategy, launcher='pytorch',\n"
        "                           env_cfg={'dist_cfg': {'backend': sys.argv[2]}})\n"
        "    runner.train(); assert runner.iter == 2\n"
        "torch.distributed.destroy_process_group()\n"
    )
    backend = "gloo" if setup.device.type == "cpu" else "nccl"
    ranks = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    ranks["MASTER_PORT"] = str(find_free_port())
    command = [sys.executable, "-c", program, setup.device.type, backend]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **ranks}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return f"DDP and FSDP2 trained over {backend}"


def exact_resume(setup: Setup) -> str:
    """Three models: two epochs in one run, and one epoch resumed, end with the same bits; on a GPU in half precision."""
    dtypes = ["float16", "bfloat16", "float16"]
    for (name, make_case), dtype in zip(CASES.items(), dtypes, strict=True):
        optim = {"type": "AmpOptimWrapper", "dtype": dtype} if setup.device.type == "cuda" else None
        weights = []
        for epochs in ((2,), (1, 2)):
            folder = tempfile.mkdtemp()
            for last in epochs:
                case = make_case(setup.device, True)
                data = TensorDataset(*(tensor.cpu() for tensor in case.batch))
                runner = make_runner(
                    case.model, DataLoader(data, batch_size=2, shuffle=True), epochs=last, work_dir=folder, resume=last > 1,
                    default_hooks=None, randomness={"seed": 0, "deterministic": True}, optim=optim,
                )  # fmt: skip
                runner.train()
            weights.append([tensor.cpu() for tensor in case.model.state_dict().values()])
        assert all(torch.equal(one, two) for one, two in zip(*weights, strict=True)), name
    return f"{', '.join(CASES)}: equal bits"


def batch_search(setup: Setup) -> str:
    """`eng tune batch` finds the largest batch by the device's own error, with most of the memory taken away."""
    if setup.device.type != "cuda":
        return "needs a GPU: the CPU has no memory of its own"
    from eng.tune import find_batch_size

    with other_process_takes(all_but=2 * 2**30):
        wide = Classifier(nn.Sequential(nn.Linear(64, 2**15), nn.Tanh(), nn.Linear(2**15, 10)))
        data = TensorDataset(torch.randn(2**17, 64), torch.randint(10, (2**17,)))
        runner = make_runner(wide, DataLoader(data, batch_size=16))
        before = torch.cuda.memory_allocated()
        result = find_batch_size(runner)
        assert torch.cuda.memory_allocated() <= before
    assert result.limit is not None
    assert len(result.tries) <= 8
    share = max(peak for size, peak in result.tries if peak is not None and size == result.largest) / result.limit
    assert share >= 0.9, result
    return f"{result.largest} samples in {len(result.tries)} tries, {share:.0%} of {result.limit / 2**30:.2f} GiB"


@contextlib.contextmanager
def other_process_takes(all_but: int) -> Iterator[None]:
    """Another process holds the memory of the device but for some bytes."""
    gc.collect()
    torch.cuda.empty_cache()
    program = (
        "import sys, torch; free = torch.cuda.mem_get_info()[0]\n"
        "held = torch.empty(free - int(sys.argv[1]), dtype=torch.uint8, device='cuda'); print('ready', flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(all_but)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready"
            yield
        finally:
            process.kill()


def split_on_oom(setup: Setup) -> str:
    """`on_oom='split'`: a batch that does not fit trains in parts, with the losses of a run where it fits."""
    if setup.device.type != "cuda":
        return "needs a GPU: the CPU has no memory of its own"
    torch.manual_seed(0)
    batch = (torch.randn(4096, 64, device=setup.device), torch.randint(10, (4096,), device=setup.device))
    losses, peaks = [], []
    for spare in (None, 2**29):
        torch.manual_seed(1)
        model = Classifier(nn.Sequential(nn.Linear(64, 2**14), nn.Tanh(), nn.Linear(2**14, 10))).to(setup.device)
        notes, memory = Losses(), PeakMemory()
        runner = make_runner(model, Repeat(batch, 5), on_oom="split", custom_hooks=[notes, memory])
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        if spare is not None:
            total = torch.cuda.get_device_properties(setup.device).total_memory
            torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + spare) / total)
        try:
            runner.train()
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        losses.append(notes.values)
        peaks.append(memory.peak * 1024)
    largest = max(abs(one - two) / abs(one) for one, two in zip(*losses, strict=True))
    assert largest < 1e-5, losses
    assert peaks[1] < 0.75 * peaks[0], peaks
    return f"5 steps at {peaks[1]:.0f} in place of {peaks[0]:.0f} MiB, relative difference of the losses {largest:.1e}"


def settings(setup: Setup) -> str:
    """One setting each for memory or speed: pure bfloat16, channels_last and float8 train, and the loss falls."""
    amp = {"type": "AmpOptimWrapper", "dtype": "bfloat16"}
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "bfloat16 weights": (
            "GPT 350M",
            {"precision": {"weights": "bfloat16"}, "optim": {"type": "BFloat16OptimWrapper", "update": "stochastic"}},
        ),
        "channels_last": ("ResNet-50", {"env_cfg": {"channels_last": True}, "optim": amp}),
    }
    if importlib.util.find_spec("torchao") is not None:
        cases["float8"] = ("GPT 350M", {"precision": {"linear": "float8"}, "optim": amp})
    lines = []
    for label, (name, options) in cases.items():
        case, notes = CASES[name](setup.device, True), Losses()
        make_runner(case.model, Repeat(case.batch, 20), custom_hooks=[notes], **options).train()
        first, last = notes.values[0], notes.values[-1]
        assert last < first, f"{label}: loss {first} to {last}"
        lines.append(f"{label} {first:.3f} to {last:.3f}")
    return "; ".join(lines)


# What was not yet seen on a GPU comes first: a run that is cut short has shown most of it.
CHECKS: dict[str, Callable[[Setup], str]] = {
    "compile": compiled,
    "asynchronous save": async_save,
    "overhead": overhead,
    "tests marked gpu": marked_tests,
    "settings": settings,
    "loop without waits": loop_without_waits,
    "float16 overflows": overflow,
    "one rank": one_rank,
    "exact resume": exact_resume,
    "eng tune batch": batch_search,
    "on_oom='split'": split_on_oom,
    "input path": input_path,
    **{name: lambda setup, name=name: throughput(setup, name) for name in CASES},  # type: ignore[misc] # bound early
}
# Seconds after which a check is stopped.
LIMITS_S = {"compile": 150.0, "tests marked gpu": 90.0}
LIMIT_S = 60.0
START_S = 60.0  # to import torch and open the device


def main() -> int:
    """Runs the checks and prints the table, a row as soon as a check has ended.

    Returns:
        Exit status: 1 where a check failed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="run small versions of the checks on the CPU")
    parser.add_argument("--only", nargs="*", choices=list(CHECKS), help="checks to run; all by default")
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = arguments.only or list(CHECKS)
    if arguments.child:
        device = torch.device("cpu") if arguments.cpu else torch.accelerator.current_accelerator()
        assert device is not None
        run_checks(Setup(device, arguments.cpu), names, lambda row: print(ROW + json.dumps(row), flush=True))
        return 0
    if not arguments.cpu and not torch.accelerator.is_available():
        parser.error("torch finds no accelerator here; --cpu runs small versions of the checks on the CPU")
    card = card_name(arguments.cpu)
    print(
        f"{card}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}\n\n| check | result | seconds |\n| --- | --- | --- |",
        flush=True,
    )
    command = [sys.executable, str(Path(__file__)), "--child", *(["--cpu"] if arguments.cpu else [])]
    rows = []
    for row in supervised(command, names):
        print_row(row)
        rows.append(row)
        if arguments.json is not None:
            arguments.json.write_text(
                json.dumps({"card": card, "torch": torch.__version__, "rows": rows}, indent=1), encoding="utf-8"
            )
    return int(any(row["failed"] for row in rows))


def card_name(is_cpu: bool) -> str:
    """What the table calls the device."""
    if is_cpu:
        return "CPU"
    device = torch.accelerator.current_accelerator()
    assert device is not None
    return torch.cuda.get_device_name() if device.type == "cuda" else device.type


def supervised(command: list[str], names: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of checks that another process makes; one that hangs is killed, and a new process makes the checks behind it.

    Args:
        command: of the process, before ``--only`` and the names; it prints a line for each row.
        names: of the checks.
    """
    began, waiting = time.perf_counter(), list(names)
    while waiting:
        process = subprocess.Popen(
            [*command, "--only", *waiting], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=pass_lines, args=(process, lines), daemon=True).start()
        extra = START_S
        try:
            while waiting:
                remaining = BUDGET_S - (time.perf_counter() - began)
                if remaining <= 0:
                    yield from (row_of(name, "left out: the time is up", 0.0) for name in waiting)
                    return
                limit, extra = min(LIMITS_S.get(waiting[0], LIMIT_S) + extra, remaining), 0.0
                row, is_alive = next_row(lines, waiting.pop(0), limit)
                yield row
                if not is_alive:
                    break
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def next_row(lines: queue.Queue[str | None], name: str, limit_s: float) -> tuple[dict[str, Any], bool]:
    """The next row, or one that says why there is none; and whether the process can make further rows."""
    start = time.perf_counter()
    try:
        line = lines.get(timeout=limit_s)
    except queue.Empty:
        return row_of(name, f"STOPPED after {limit_s:.0f} s", limit_s, failed=True), False
    if line is None:
        seconds = time.perf_counter() - start
        return row_of(name, "FAILED: the process died", seconds, failed=True), False
    return json.loads(line), True


def pass_lines(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    """Puts the rows that a process prints into a queue, None at its end, and prints everything else."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(ROW):
            lines.put(line.removeprefix(ROW))
        else:
            print(line, end="", flush=True)
    lines.put(None)


def row_of(name: str, result: str, seconds: float, failed: bool = False) -> dict[str, Any]:
    """A row of the table."""
    return {"check": name, "result": result, "seconds": round(seconds, 1), "failed": failed}


def print_row(row: dict[str, Any]) -> None:
    """Prints a row of the table."""
    print(f"| {row['check']} | {row['result']} | {row['seconds']:.0f} |", flush=True)


def run_checks(
    setup: Setup, names: list[str], tell: Callable[[dict[str, Any]], object] = print_row
) -> list[dict[str, Any]]:
    """Makes checks one after another in this process and tells of each when it has ended."""
    rows = []
    for name in names:
        start, has_failed = time.perf_counter(), False
        try:
            result = CHECKS[name](setup)
        except Exception as error:  # noqa: BLE001 - the other checks go on
            traceback.print_exc()
            has_failed, result = True, f"FAILED: {type(error).__name__}: {str(error).strip().splitlines()[-1:]}"
        rows.append(row_of(name, result, time.perf_counter() - start, has_failed))
        tell(rows[-1])
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
