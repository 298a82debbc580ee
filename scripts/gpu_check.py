"""Checks eng on an accelerator and prints a table; see `gpu_check.sh`."""

from __future__ import annotations

import argparse
import importlib.util
import json
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
    """The tests marked `gpu`, which have never run in CI."""
    paths = [*sorted(str(path) for path in ROOT.glob("packages/*/tests")), str(ROOT / "tests/distributed")]
    if setup.is_small:
        paths = [str(ROOT / "packages/structures/tests")]
    results = []
    for path in paths:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-m",
            "gpu",
            "-p",
            "no:cacheprovider",
            "--import-mode=importlib",
            path,
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
        last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-200:]
        if done.returncode not in (0, 5):  # 5: no test is marked
            raise AssertionError(f"{path}: {done.stdout[-2000:]}")
        results.append(f"{Path(path).parent.name}: {last}")
    return "; ".join(
        result for result in results if "deselected" not in result or "passed" in result or "skipped" in result
    )


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
    """30 iterations with the default hooks, none of which waits for the device."""
    case = CASES["ViT-B/16"](setup.device, True)
    try:
        runner = make_runner(case.model, Repeat(case.batch, 30), custom_hooks=[RefuseToWait()], default_hooks={
            "checkpoint": None, "logger": {"type": "LoggerHook", "interval": 1000},
        })  # fmt: skip
        runner.train()
    finally:
        if torch.cuda.is_available():
            torch.cuda.set_sync_debug_mode("default")
    return f"{runner.iter} iterations, nothing waited"


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


def eng_seconds(setup: Setup, case: Case, dtype: torch.dtype | None, repeats: int) -> float:
    timer = Times(setup)
    optim = {"type": "AmpOptimWrapper", "dtype": str(dtype).removeprefix("torch.")} if dtype is not None else None
    make_runner(case.model, Repeat(case.batch, repeats), epochs=2, optim=optim, custom_hooks=[timer]).train()
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
    trainer.fit(module, DataLoader(TensorDataset(torch.zeros(repeats)), batch_size=1))
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
    """Seconds, peak memory and MFU of one model: eng, a bare loop and Lightning."""
    dtype = None if setup.is_small else torch.bfloat16
    case = CASES[name](setup.device, setup.is_small)
    memory: dict[str, float] = {}

    def measured(label: str, call: Callable[[], float | None]) -> float | None:
        if setup.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = call()
        memory[label] = torch.cuda.max_memory_allocated() / 2**30 if setup.device.type == "cuda" else 0.0
        return seconds

    bare = measured("bare", lambda: bare_seconds(setup, case, dtype, setup.repeats))
    engine = measured("eng", lambda: eng_seconds(setup, case, dtype, setup.repeats))
    lightning = measured("lightning", lambda: lightning_seconds(setup, case, setup.repeats))
    assert bare is not None
    assert engine is not None
    peer = "not installed" if lightning is None else f"{engine / lightning:.3f}"
    rate = case.flops_per_step / engine / 1e12
    return (
        f"{engine * 1e3:.1f} ms; eng / bare {engine / bare:.3f}; eng / Lightning {peer}; {rate:.1f} TFLOP/s; "
        f"memory {memory['eng']:.2f} GiB (bare {memory['bare']:.2f})"
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


def compiled(setup: Setup) -> str:
    """`compile=True` (and CUDA graphs on a GPU) gives the losses of the plain run."""
    modes: list[bool | dict[str, Any]] = [True]
    if setup.device.type == "cuda":
        modes.append({"mode": "reduce-overhead"})
    plain = final_loss(setup, compile=False)
    for mode in modes:
        loss = final_loss(setup, compile=mode)
        assert abs(loss - plain) < 1e-2 * max(1.0, abs(plain)), (mode, loss, plain)
    return f"{len(modes)} mode(s), the loss of the plain run"


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
    """Three models: two epochs in one run, and one epoch resumed, end with the same bits."""
    for name, make_case in CASES.items():
        weights = []
        for epochs in ((2,), (1, 2)):
            folder = tempfile.mkdtemp()
            for last in epochs:
                case = make_case(setup.device, True)
                data = TensorDataset(*(tensor.cpu() for tensor in case.batch))
                runner = make_runner(
                    case.model, DataLoader(data, batch_size=2, shuffle=True), epochs=last, work_dir=folder, resume=last > 1,
                    default_hooks=None, randomness={"seed": 0, "deterministic": True},
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


def input_path(setup: Setup) -> str:
    """Images per second through a loader with workers and the preprocessor, to the device."""
    count, side = (64, 32) if setup.is_small else (2048, 224)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)
    samples = [{"inputs": image, "data_samples": None} for image in images]
    loader = DataLoader(samples, batch_size=32, num_workers=1 if setup.is_small else 8, collate_fn=pack,
                        pin_memory=setup.device.type == "cuda")  # fmt: skip
    preprocessor = ImgDataPreprocessor(mean=[127.5] * 3, std=[58.0] * 3, non_blocking=True).to(setup.device)
    began = time.perf_counter()
    for batch in loader:
        preprocessor(batch, True)
    setup.wait()
    return f"{count / (time.perf_counter() - began):.0f} images/s of {side} x {side}"


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
