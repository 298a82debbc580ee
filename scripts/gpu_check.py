"""Checks eng on an accelerator and prints a table; see `gpu_check.sh`."""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from gpu_models import CASES, Case, Classifier
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.dist import find_free_port
from eng.hooks import Hook
from eng.hooks._devices import peak_flops
from eng.model import ImgDataPreprocessor
from eng.runner import Runner

ROOT = Path(__file__).resolve().parents[1]
BUDGET_S = 460.0  # the whole check ends within eight minutes


class Setup(NamedTuple):
    """Where the checks run, and how large they are."""

    device: torch.device
    is_small: bool

    @property
    def repeats(self) -> int:
        """Iterations of a timing."""
        return 5 if self.is_small else 20

    def wait(self) -> None:
        """Waits until the device has done all work."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize()


class Repeat:
    """A loader that gives the same batch `length` times; it costs nothing."""

    def __init__(self, batch: Any, length: int) -> None:
        self.batch, self.length = batch, length
        self.dataset, self.batch_size = [0], None

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Any]:
        return (self.batch for _ in range(self.length))


class Times(Hook):
    """Seconds of each epoch, with the device waited for at both ends."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.seconds: list[float] = []

    def before_train_epoch(self, runner: Any) -> None:
        """Notes the time."""
        self.setup.wait()
        self.began = time.perf_counter()

    def after_train_epoch(self, runner: Any) -> None:
        """Adds the seconds of the epoch."""
        self.setup.wait()
        self.seconds.append(time.perf_counter() - self.began)


def make_runner(
    model: Any, loader: Any, epochs: int = 1, optim: dict[str, Any] | None = None, **settings: Any
) -> Runner:
    defaults: dict[str, Any] = {
        "work_dir": tempfile.mkdtemp(),
        "train_cfg": {"by_epoch": True, "max_epochs": epochs},
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 1e-3}, **(optim or {})},
        "default_hooks": {"checkpoint": None},
        "randomness": {"seed": 0},
        "log_level": "ERROR",
    }
    return Runner(model=model, train_dataloader=loader, **{**defaults, **settings})


def marked_tests(setup: Setup) -> str:
    """The tests marked `gpu`, which CI skips; each file in a process of its own, all at once."""
    files = [file for file in sorted([*ROOT.glob("packages/*/tests/**/test_*.py"), *ROOT.glob("tests/distributed/test_*.py")])
             if "mark.gpu" in file.read_text(encoding="utf-8")]  # fmt: skip
    if setup.is_small:
        files = [file for file in files if "structures" in file.parts]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "--timeout", "150"]
    runs = [
        subprocess.Popen([*command, str(file)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for file in files
    ]
    outputs = [run.communicate(timeout=200)[0].strip() for run in runs]
    lines = [f"{file.stem} {output.splitlines()[-1]}" for file, output in zip(files, outputs, strict=True)]
    failed = [output[-3000:] for run, output in zip(runs, outputs, strict=True) if run.returncode != 0]
    if failed:
        raise AssertionError("\n".join([*failed, *lines]))
    return "; ".join(lines)


class RefuseToWait(Hook):
    """Makes whatever waits for the device an error from the third iteration on."""

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """The first iterations may wait: they build what the later ones use."""
        if batch_idx == 2 and torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("error")

    def after_train_epoch(self, runner: Any) -> None:
        """Allows waiting again."""
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("default")


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


def bare_seconds(setup: Setup, case: Case, dtype: torch.dtype | None, repeats: int) -> float:
    """Seconds per iteration of a hand-written loop, after as many to warm up."""
    optimizer = torch.optim.SGD(case.model.parameters(), lr=1e-3)
    for timed in (False, True):
        setup.wait()
        began = time.perf_counter()
        for _ in range(repeats):
            with torch.autocast(setup.device.type, dtype=dtype, enabled=dtype is not None):
                loss = case.model(*case.batch, mode="loss")["loss"]
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        setup.wait()
        if timed:
            return (time.perf_counter() - began) / repeats
    raise AssertionError("unreachable")


def eng_seconds(setup: Setup, case: Case, dtype: torch.dtype | None, repeats: int, **settings: Any) -> float:
    timer = Times(setup)
    optim = {"type": "AmpOptimWrapper", "dtype": str(dtype).removeprefix("torch.")} if dtype is not None else None
    make_runner(
        case.model, Repeat(case.batch, repeats), epochs=2, optim=optim, custom_hooks=[timer], **settings
    ).train()
    return timer.seconds[-1] / repeats


def lightning_seconds(setup: Setup, case: Case, repeats: int) -> float | None:
    """The same in Lightning where it is installed; None elsewhere."""
    if importlib.util.find_spec("lightning") is None:
        return None
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = case.model

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self.model(*case.batch, mode="loss")["loss"]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1e-3)

        def on_train_epoch_start(self) -> None:
            setup.wait()
            self.began = time.perf_counter()

        def on_train_epoch_end(self) -> None:
            setup.wait()
            self.seconds = (time.perf_counter() - self.began) / repeats

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        accelerator="cpu" if setup.device.type == "cpu" else "gpu", devices=1,
        precision="32-true" if setup.device.type == "cpu" else "bf16-mixed",
    )  # fmt: skip
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer.fit(module, DataLoader(TensorDataset(torch.zeros(repeats)), batch_size=1))
    case.model.to(setup.device)  # Lightning leaves the model on the CPU
    return module.seconds


def overhead(setup: Setup) -> str:
    """Microseconds per iteration that the engine adds to a bare loop with a tiny model; medians of seven."""
    case = Case(Classifier(nn.Linear(8, 4)).to(setup.device), (torch.zeros(4, 8, device=setup.device),
                torch.zeros(4, dtype=torch.long, device=setup.device)), 0.0)  # fmt: skip
    repeats = 100 if setup.is_small else 1000
    pairs = [(eng_seconds(setup, case, None, repeats), bare_seconds(setup, case, None, repeats)) for _ in range(7)]
    added = statistics.median(engine - bare for engine, bare in pairs) * 1e6
    return f"{added:.0f} us per iteration over a bare loop"


def throughput(setup: Setup, name: str) -> str:
    """Seconds, peak memory and MFU of one model: eng, a bare loop and Lightning; medians of three rounds."""
    dtype = None if setup.is_small else torch.bfloat16
    case = CASES[name](setup.device, setup.is_small)
    calls: dict[str, Callable[[], float | None]] = {
        "bare": lambda: bare_seconds(setup, case, dtype, setup.repeats),
        "eng": lambda: eng_seconds(setup, case, dtype, setup.repeats),
        "Lightning": lambda: lightning_seconds(setup, case, setup.repeats),
    }
    seconds: dict[str, list[float]] = {label: [] for label in calls}
    memory: dict[str, float] = {}
    for _ in range(3):
        for label, call in calls.items():
            memory[label], result = peak_memory(setup, call)
            if result is not None:
                seconds[label].append(result)
    median = {label: statistics.median(times) for label, times in seconds.items() if times}
    engine = median["eng"]
    ratios = [f"eng / {label} {engine / median[label]:.3f}" for label in ("bare", "Lightning") if label in median]
    peaks = ", ".join(f"{label} {memory[label]:.2f}" for label in median)
    peak = None if setup.device.type == "cpu" else peak_flops(torch.cuda.get_device_name(), dtype or torch.float32)
    use = "" if peak is None else f", MFU {case.flops_per_step / engine / peak:.1%}"
    return f"{engine * 1e3:.1f} ms; {'; '.join(ratios)}; {case.flops_per_step / engine / 1e12:.1f} TFLOP/s{use}; memory in GiB: {peaks}"


def peak_memory(setup: Setup, call: Callable[[], float | None]) -> tuple[float, float | None]:
    """GiB at the peak of a call (0 on the CPU), and what it returned."""
    if setup.device.type != "cuda":
        return 0.0, call()
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    result = call()
    return torch.cuda.max_memory_allocated() / 2**30, result


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


def compiled(setup: Setup) -> str:
    """`compile=True` (and CUDA graphs on a GPU) gives the losses of the plain run."""
    modes: list[bool | dict[str, Any]] = [True]
    if setup.device.type == "cuda":
        modes.append({"mode": "reduce-overhead"})
    plain = final_loss(setup, compile=False)
    for mode in modes:
        loss = final_loss(setup, compile=mode)
        assert abs(loss - plain) < 1e-2 * max(1.0, abs(plain)), (mode, loss, plain)
    case = CASES["ViT-B/16"](setup.device, setup.is_small)
    dtype = None if setup.is_small else torch.bfloat16
    plain_s = eng_seconds(setup, case, dtype, setup.repeats)
    compiled_s = eng_seconds(setup, case, dtype, setup.repeats, compile=True)
    return f"{len(modes)} mode(s), the loss of the plain run; a step of the ViT takes {compiled_s / plain_s:.2f} of its time"


def final_loss(setup: Setup, **settings: Any) -> float:
    case = CASES["GPT 350M"](setup.device, True)
    runner = make_runner(case.model, Repeat(case.batch, 8), **settings)
    runner.train()
    with torch.no_grad():
        return float(case.model(*case.batch, mode="loss")["loss"])


def float8(setup: Setup) -> str:
    """Linear layers in float8 through torchao."""
    if importlib.util.find_spec("torchao") is None or setup.device.type != "cuda":
        return "needs torchao and a GPU"
    from torchao.float8 import convert_to_float8_training

    case = CASES["GPT 350M"](setup.device, True)
    optim = {"type": "AmpOptimWrapper", "dtype": "bfloat16"}
    plain = float(case.model(*case.batch, mode="loss")["loss"])
    convert_to_float8_training(case.model, module_filter_fn=lambda module, name: "layers" in name)
    make_runner(case.model, Repeat(case.batch, 20), optim=optim).train()
    loss = float(case.model(*case.batch, mode="loss")["loss"])
    assert loss < plain
    return f"loss {plain:.3f} to {loss:.3f}"


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


def async_save(setup: Setup) -> str:
    """How long a checkpoint holds training up: written beside it, and at once."""
    stalls = {}
    for is_async in (False, True):
        case = CASES["GPT 350M"](setup.device, setup.is_small)
        timer = IterTimes(setup)
        hooks = {"checkpoint": {"type": "CheckpointHook", "by_epoch": False, "interval": 6, "async_save": is_async}}
        make_runner(case.model, Repeat(case.batch, 10), default_hooks=hooks, custom_hooks=[timer]).train()
        stalls[is_async] = max(timer.seconds[5:]) - statistics.median(timer.seconds)
    return f"{stalls[True] * 1e3:.0f} ms beside training, {stalls[False] * 1e3:.0f} ms at once"


class IterTimes(Hook):
    """Seconds between the ends of iterations, waits for the device included."""

    priority = "LOWEST"

    def __init__(self, setup: Setup) -> None:
        self.setup, self.seconds = setup, list[float]()
        self.last: float | None = None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Adds the seconds since the last iteration began."""
        self.setup.wait()
        now = time.perf_counter()
        if self.last is not None:
            self.seconds.append(now - self.last)
        self.last = now


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
        notes = Losses()
        runner = make_runner(model, Repeat(batch, 5), on_oom="split", custom_hooks=[notes])
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
        peaks.append(torch.cuda.max_memory_allocated() / 2**20)
    largest = max(abs(one - two) / abs(one) for one, two in zip(*losses, strict=True))
    assert largest < 1e-5, losses
    assert peaks[1] < 0.75 * peaks[0], peaks
    return f"5 steps at {peaks[1]:.0f} in place of {peaks[0]:.0f} MiB, relative difference of the losses {largest:.1e}"


class Losses(Hook):
    """The loss of each iteration."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Adds the loss."""
        self.values.append(float(outputs["loss"]))


def input_path(setup: Setup) -> str:
    """Images per second to the device: loader and preprocessor of eng, and torch's loader with the same arithmetic."""
    count, side = (64, 32) if setup.is_small else (4096, 224)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
    samples = [{"inputs": image, "data_samples": None} for image in images]
    preprocessor = ImgDataPreprocessor(mean=[127.5] * 3, std=[58.0] * 3, non_blocking=True).to(setup.device)

    def bare(batch: dict[str, Any]) -> torch.Tensor:
        stacked = torch.stack([image.to(setup.device, non_blocking=True) for image in batch["inputs"]])
        return (stacked.float() - 127.5) / 58.0

    rates = {}
    for label, to_device in (("warm", bare), ("bare", bare), ("eng", lambda batch: preprocessor(batch, True))):
        loader = DataLoader(samples, batch_size=32, num_workers=1 if setup.is_small else 8, collate_fn=pack,
                            pin_memory=setup.device.type == "cuda")  # fmt: skip
        began = time.perf_counter()
        for batch in loader:
            to_device(batch)
        setup.wait()
        rates[label] = count / (time.perf_counter() - began)
    return f"{rates['eng']:.0f} images/s of {side} x {side}; eng / bare {rates['eng'] / rates['bare']:.2f}"


def pack(samples: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Keeps images in lists, as `pseudo_collate` does."""
    return {key: [sample[key] for sample in samples] for key in samples[0]}


CHECKS: dict[str, Callable[[Setup], str]] = {
    "loop without waits": loop_without_waits,
    "float16 overflows": overflow,
    "one rank": one_rank,
    "exact resume": exact_resume,
    "overhead": overhead,
    **{name: lambda setup, name=name: throughput(setup, name) for name in CASES},  # type: ignore[misc] # bound early
    "compile": compiled,
    "float8": float8,
    "eng tune batch": batch_search,
    "on_oom='split'": split_on_oom,
    "asynchronous save": async_save,
    "input path": input_path,
    "tests marked gpu": marked_tests,
}


def main() -> int:
    """Runs the checks and prints the table.

    Returns:
        Exit status: 1 where a check failed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="run small versions of the checks on the CPU")
    parser.add_argument("--only", nargs="*", choices=list(CHECKS), help="checks to run; all by default")
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    arguments = parser.parse_args()
    if not arguments.cpu and not torch.accelerator.is_available():
        parser.error("torch finds no accelerator here; --cpu runs small versions of the checks on the CPU")
    device = torch.device("cpu") if arguments.cpu else torch.accelerator.current_accelerator()
    assert device is not None
    setup = Setup(device, arguments.cpu)
    card = "CPU" if arguments.cpu else torch.cuda.get_device_name() if device.type == "cuda" else device.type
    print(
        f"{card}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}\n\n| check | result | seconds |\n| --- | --- | --- |"
    )
    rows = run_checks(setup, arguments.only or list(CHECKS))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"card": card, "torch": torch.__version__, "rows": rows}, indent=1))
    return int(any(row["failed"] for row in rows))


def run_checks(setup: Setup, names: list[str]) -> list[dict[str, Any]]:
    began, rows = time.perf_counter(), []
    for name in names:
        start = time.perf_counter()
        has_failed = False
        if start - began > BUDGET_S:
            result = "left out: the time is up"
        else:
            try:
                result = CHECKS[name](setup)
            except Exception as error:  # noqa: BLE001 - the other checks go on
                traceback.print_exc()
                has_failed, result = True, f"FAILED: {type(error).__name__}: {str(error).strip().splitlines()[-1:]}"
        seconds = time.perf_counter() - start
        rows.append({"check": name, "result": result, "seconds": round(seconds, 1), "failed": has_failed})
        print(f"| {name} | {result} | {seconds:.0f} |", flush=True)
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
