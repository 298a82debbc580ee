"""How much less time compiling takes where a run finds what its last start compiled: ``python benchmarks/compile_cache.py``.

Trains a small transformer twice in the same work dir with ``compile=dict(cache=True)``, each time in a new process with an empty
cache of the compiler, and prints the seconds of the first iteration over those of the others, which is the time of compiling.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ITERATIONS = 8


def train(work_dir: str, layers: int) -> float:
    """Seconds of the first iteration over the median of the last ones."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    from eng.hooks import Hook
    from eng.model import BaseModel
    from eng.runner import Runner

    class Encoder(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

        def forward(self, x: torch.Tensor, mode: str = "tensor") -> dict[str, torch.Tensor] | torch.Tensor:
            output = self.encoder(x)
            return {"loss": output.square().mean()} if mode == "loss" else output

    class Clock(Hook):
        ends: list[float]

        def before_train(self, runner: object) -> None:
            self.ends = [time.perf_counter()]

        def after_train_iter(self, *_: object, **__: object) -> None:
            self.ends.append(time.perf_counter())

    torch.manual_seed(0)
    clock = Clock()
    Runner(
        Encoder(), work_dir, DataLoader(TensorDataset(torch.randn(64, 16, 64)), batch_size=8), log_level="ERROR",
        train_cfg=dict(by_epoch=False, max_iters=ITERATIONS), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
        compile=dict(cache=True), custom_hooks=[clock], default_hooks=dict(checkpoint=None),
    ).train()  # fmt: skip
    seconds = [end - begin for begin, end in zip(clock.ends, clock.ends[1:], strict=False)]
    return seconds[0] - statistics.median(seconds[2:])


def start(work_dir: str, layers: str) -> float:
    """Trains in a new process with an empty cache, which lies at the same path as in a container that starts again."""
    cache = Path(work_dir) / "inductor"
    shutil.rmtree(cache, ignore_errors=True)
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache)}
    command = [sys.executable, __file__, "--in", work_dir, layers]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Prints both starts and the share that is saved."""
    if sys.argv[1:2] == ["--in"]:
        print(train(sys.argv[2], int(sys.argv[3])))
        return
    layers = sys.argv[1] if len(sys.argv) > 1 else "2"
    with tempfile.TemporaryDirectory() as work_dir:
        first = start(work_dir, layers)
        size = (Path(work_dir) / "compile_cache.bin").stat().st_size
        second = start(work_dir, layers)
    print(
        f"compiling, first start: {first:.1f} s, next start: {second:.1f} s, {1 - second / first:.0%} less; file {size / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
