"""What the engine costs: an iteration over a bare loop, the import, the start of a run."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]

# One script for both engines: CPU time per iteration of bare loops and of runs in turn, the best of each.
LOOP = textwrap.dedent(
    """
    import json, sys, tempfile, time
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
            return (batch for _ in range(n))

    batch = (torch.randn(8, 16), torch.randn(8, 1))
    marks = []
    class Start(Hook):
        priority = "LOWEST"
        def before_train_epoch(self, runner):
            marks.append(time.process_time())
    class End(Hook):
        priority = "HIGHEST"
        def after_train_epoch(self, runner):
            marks.append(time.process_time())

    def bare():
        model = Mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        start = time.process_time()
        for x, y in Ready():
            loss = model(x, y, mode="loss")["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return time.process_time() - start

    def run(number):
        marks.clear()
        Runner(
            model=Mlp(), work_dir=tempfile.mkdtemp(), train_dataloader=Ready(),
            train_cfg=dict(by_epoch=True, max_epochs=1), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
            default_hooks=dict(logger=dict(type="LoggerHook", interval=50)), custom_hooks=[Start(), End()],
            log_level="ERROR", experiment_name=f"bench{number}",
        ).train()
        return marks[1] - marks[0]

    pairs = [(bare(), run(i)) for i in range(rounds)]
    print(json.dumps([min(p[i] for p in pairs) / n * 1e6 for i in (0, 1)]))
    """
)


def printed(script: str, *args: str) -> object:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *args], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_an_iteration_over_a_bare_loop(versus, reference):
    for name, run in (("eng", printed), ("MMEngine", reference)):
        bare, engine = run(LOOP, "eng" if name == "eng" else "mmengine", "5", "1500")
        detail = f"CPU time: {engine:.0f} us against {bare:.0f} us; small MLP, default hooks, a line every 50"
        target = "<= 20 us" if name == "eng" else "(peer)"
        versus.report(f"an iteration of {name} over a bare loop", f"+{engine - bare:.1f} us", target, detail)


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


DIGITS = """
import json, sys, tempfile, time
import torch, torch.utils.data, torch.distributed
sys.path.insert(0, "examples/digits")
start = time.perf_counter()
from eng.config import Config
from eng.hooks import Hook
from eng.runner import Runner
class First(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
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
    best = min(printed(DIGITS) for _ in range(3))
    versus.report(
        "digits to its first iteration, beyond torch", f"{best * 1e3:.0f} ms", "<= 1 s", "the best of 3 processes"
    )
