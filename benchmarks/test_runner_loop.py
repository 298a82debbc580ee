"""What the engine costs: an iteration over a bare loop, the import, the start of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import timeit
from pathlib import Path

import torch

from eng.hooks._throughput import RunNumbers
from eng.logging.parts import PartClock

ROOT = Path(__file__).parents[1]

# One script for both engines: bare loops and epochs in turn, many short ones. The median of the times between two batches is that of an
# iteration that nothing interrupts, also on a busy machine, where means of CPU time differ by half; it leaves log points out.
LOOP = textwrap.dedent(
    """
    import json, statistics, sys, tempfile, time
    import torch
    from torch import nn
    torch.set_num_threads(1)
    engine, rounds, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if engine == "eng":
        from eng.hooks import Hook
        from eng.model import BaseModel
        from eng.runner import Runner
    else:
        from mmengine.hooks import Hook
        from mmengine.model import BaseModel
        from mmengine.runner import Runner

    class Mlp(BaseModel):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
        def forward(self, x, y, mode="tensor"):
            return {"loss": (self.net(x) - y).square().mean()}

    class Ready:
        dataset, batch_size = [0], None
        def __len__(self):
            return n
        def __iter__(self):
            stamps.clear()
            for _ in range(n):
                stamps.append(time.perf_counter())
                yield batch
            stamps.append(time.perf_counter())

    def iterations():
        return [end - begin for begin, end in zip(stamps, stamps[1:])]

    batch = (torch.randn(8, 16), torch.randn(8, 1))
    bares, runs, stamps = [], [], []

    model = Mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    def bare():
        for x, y in Ready():
            loss = model(x, y, mode="loss")["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return iterations()

    class Start(Hook):
        priority = "LOWEST"
        def before_train_epoch(self, runner):
            bares.extend(bare())
    class End(Hook):
        priority = "HIGHEST"
        def after_train_epoch(self, runner):
            runs.extend(iterations())

    Runner(
        model=Mlp(), work_dir=tempfile.mkdtemp(), train_dataloader=Ready(),
        train_cfg=dict(by_epoch=True, max_epochs=rounds), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
        default_hooks=dict(
            logger=dict(type="LoggerHook", interval=50), checkpoint=dict(type="CheckpointHook", interval=rounds + 1)
        ),
        custom_hooks=[Start(), End()], log_level="ERROR", experiment_name="bench",
    ).train()
    print(json.dumps([statistics.median(times) * 1e6 for times in (bares, runs)]))
    """
)


def printed(script: str, *args: str) -> object:
    # pip compiles what it installs; some environments keep Python from doing the same for sources
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "eng-bench-pycache")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *args], capture_output=True, text=True, timeout=300, check=False,
        env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_an_iteration_over_a_bare_loop(versus, reference):
    for name, run in (("eng", printed), ("MMEngine", reference)):
        bare, engine = run(LOOP, "eng" if name == "eng" else "mmengine", "60", "50")
        detail = f"medians: {engine:.0f} us against {bare:.0f} us; small MLP, default hooks, a line every 50"
        target = "<= 30 us" if name == "eng" else "(peer)"
        versus.report(f"an iteration of {name} over a bare loop", f"{engine - bare:+.1f} us", target, detail)


def test_measuring_the_parts_of_an_iteration(versus):
    clock, numbers, batch = PartClock(), RunNumbers(), {"input_ids": torch.zeros(2, 2)}

    def iteration() -> None:
        for part in (0, 0, 2, 3, 2, 0, 0):
            clock.switch(part)
        numbers.count(batch)

    cost = min(timeit.repeat(iteration, number=2000, repeat=20)) / 2000 * 1e6
    versus.report("measuring the parts of an iteration", f"{cost:.2f} us", "<= 2 us", "seven switches of the clock")


def test_an_iteration_of_other_engines_over_a_bare_loop(versus, peers):
    script = (ROOT / "benchmarks/peer_loops.py").read_text(encoding="utf-8")
    for name in ("Ignite", "Accelerate", "Lightning"):
        bare, engine = peers(script, name.lower(), "60", "50")
        detail = f"medians: {engine:.0f} us against {bare:.0f} us; small MLP, the engine's defaults"
        versus.report(f"an iteration of {name} over a bare loop", f"{engine - bare:+.1f} us", "(peer)", detail)


IMPORT = """
import json, time
import torch, torch.utils.data, torch.distributed
start = time.perf_counter()
import eng.runner
print(json.dumps(time.perf_counter() - start))
"""


def test_import_beyond_torch(versus):
    best = min(printed(IMPORT) for _ in range(3))
    versus.report("import eng.runner beyond torch", f"{best * 1e3:.0f} ms", "<= 200 ms", "the best of 3 processes")


# What a first step of torch alone takes; torch imports its compiler with the first optimizer.
BARE_START = """
import json, time
import torch, torch.utils.data, torch.distributed
start = time.perf_counter()
model = torch.nn.Conv2d(1, 8, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.zeros(1, 1, 8, 8)).sum().backward()
optimizer.step()
print(json.dumps(time.perf_counter() - start))
"""

DIGITS = """
import json, sys, tempfile, time
import torch, torch.utils.data, torch.distributed
sys.path.insert(0, "examples/digits")
start = time.perf_counter()
from eng.config import Config
from eng.hooks import Hook
from eng.runner import Runner
class First(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        print(json.dumps(time.perf_counter() - start), flush=True)
        raise SystemExit
cfg = Config.fromfile("examples/digits/config.py")
cfg.work_dir = tempfile.mkdtemp()
cfg.log_level = "ERROR"
runner = Runner.from_cfg(cfg)
runner.register_hook(First(), "LOWEST")
runner.train()
"""


def test_start_of_the_digits_example(versus, monkeypatch):
    monkeypatch.chdir(ROOT)
    bare, ours = (min(times) for times in zip(*((printed(BARE_START), printed(DIGITS)) for _ in range(4)), strict=True))
    detail = f"a first step of bare torch alone: {bare * 1e3:.0f} ms; the best of 4 processes"
    versus.report("digits to the end of its first iteration, beyond torch", f"{ours * 1e3:.0f} ms", "<= 1 s", detail)
