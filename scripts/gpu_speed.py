"""The checks of `gpu_check.py` that measure: time, memory and stalls, beside a bare loop and Lightning."""

from __future__ import annotations

import gc
import importlib.util
import logging
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from gpu_models import CASES, Case, Classifier
from gpu_parts import IterTimes, PeakMemory, Repeat, Setup, Times, make_runner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.hooks._devices import peak_flops
from eng.model import ImgDataPreprocessor


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


def eng_seconds(
    setup: Setup, case: Case, dtype: torch.dtype | None, repeats: int, hooks: tuple[Any, ...] = (), **settings: Any
) -> float:
    """Seconds per iteration of the engine, in the second of two epochs."""
    timer = Times(setup)
    optim = {"type": "AmpOptimWrapper", "dtype": str(dtype).removeprefix("torch.")} if dtype is not None else None
    hooks = (timer, *hooks)
    make_runner(
        case.model, Repeat(case.batch, repeats), epochs=2, optim=optim, custom_hooks=list(hooks), **settings
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
    """Microseconds per iteration that the engine adds to a bare loop with a tiny model; medians of five."""
    case = Case(Classifier(nn.Linear(8, 4)).to(setup.device), (torch.zeros(4, 8, device=setup.device),
                torch.zeros(4, dtype=torch.long, device=setup.device)), 0.0)  # fmt: skip
    repeats = 100 if setup.is_small else 500
    without_log = {"checkpoint": None, "logger": None}
    added: dict[str, list[float]] = {"logging": [], "plain": []}
    for _ in range(5):
        bare = bare_seconds(setup, case, None, repeats)
        added["logging"].append(eng_seconds(setup, case, None, repeats) - bare)
        added["plain"].append(eng_seconds(setup, case, None, repeats, default_hooks=without_log) - bare)
    logging_us, plain_us = (statistics.median(seconds) * 1e6 for seconds in added.values())
    return f"{plain_us:.0f} us per iteration over a bare loop, {logging_us:.0f} with a log line each 10 iterations"


def throughput(setup: Setup, name: str) -> str:
    """Seconds, peak memory and MFU of one model: eng, a bare loop and Lightning; medians of three rounds."""
    dtype = None if setup.is_small else torch.bfloat16
    case = CASES[name](setup.device, setup.is_small)
    peak = PeakMemory()
    calls: dict[str, Callable[[], float | None]] = {
        "bare": lambda: bare_seconds(setup, case, dtype, setup.repeats),
        "eng": lambda: eng_seconds(setup, case, dtype, setup.repeats, hooks=(peak,)),
        "Lightning": lambda: lightning_seconds(setup, case, setup.repeats),
    }
    seconds: dict[str, list[float]] = {label: [] for label in calls}
    memory: dict[str, float] = {}
    for _ in range(3):
        for label, call in calls.items():
            memory[label], result = peak_memory(setup, call)
            if result is not None:
                seconds[label].append(result)
    memory["eng"] = peak.peak
    median = {label: statistics.median(times) for label, times in seconds.items() if times}
    engine = median["eng"]
    ratios = [f"eng / {label} {engine / median[label]:.3f}" for label in ("bare", "Lightning") if label in median]
    peaks = ", ".join(f"{label} {memory[label]:.2f}" for label in median)
    limit = None if setup.device.type == "cpu" else peak_flops(torch.cuda.get_device_name(), dtype or torch.float32)
    rate = case.flops_per_step / engine
    use = "" if limit is None else f", MFU {rate / limit:.1%}"
    return f"{engine * 1e3:.1f} ms; {'; '.join(ratios)}; {rate / 1e12:.1f} TFLOP/s{use}; memory in GiB: {peaks}"


def peak_memory(setup: Setup, call: Callable[[], float | None]) -> tuple[float, float | None]:
    """GiB at the peak of a call (0 on the CPU), and what it returned."""
    if setup.device.type != "cuda":
        return 0.0, call()
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    result = call()
    return torch.cuda.max_memory_allocated() / 2**30, result


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


def async_save(setup: Setup) -> str:
    """How long a checkpoint holds training up: written beside it, for the first time and later, and at once."""
    stalls = {}
    for is_async in (False, True):
        case = CASES["GPT 350M"](setup.device, setup.is_small)
        # The pause lets the first file be written; a save waits for the one before it.
        timer = IterTimes(setup, pause_at=8, pause_s=0.5 if setup.is_small else 8.0 * is_async)
        hooks = {"checkpoint": {"type": "CheckpointHook", "by_epoch": False, "interval": 6, "async_save": is_async}}
        make_runner(case.model, Repeat(case.batch, 16), default_hooks=hooks, custom_hooks=[timer]).train()
        usual = statistics.median(timer.seconds)
        stalls[is_async] = [(max(timer.seconds[at : at + 3]) - usual) * 1e3 for at in (4, 10)]
    first, later = stalls[True]
    return f"{first:.0f} ms beside training at first, {later:.0f} ms later; {stalls[False][-1]:.0f} ms at once"


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
