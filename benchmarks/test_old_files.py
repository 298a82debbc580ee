"""What MMEngine 0.10.7 itself makes of eng's checkpoints, and how long it takes for the configs of a whole library."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

LIBRARY = "mmpretrain==1.2.0"
LOADER = Path(__file__).parents[1] / "tests/downstream" / "digest_configs.py"
TRAINING = """
import json, sys, torch
from {package}.model import BaseModel
from {package}.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear, self.bn = nn.Linear(1, 1), nn.BatchNorm1d(1)

    def forward(self, x, y, mode="tensor"):
        out = self.bn(self.linear(x))
        return dict(loss=(out - y).square().mean()) if mode == "loss" else out

x = torch.linspace(0, 1, 8)[:, None]
begun = []
class Runner(Runner):
    def call_hook(self, name, **kwargs):
        if name == "before_train_epoch" and not begun:
            begun.append([self.epoch, self.iter, float(self.model.linear.weight), self.optim_wrapper.get_lr()["lr"][0]])
        return super().call_hook(name, **kwargs)

runner = Runner(
    Net(), sys.argv[1], train_dataloader=DataLoader(TensorDataset(x, 3 * x), batch_size=2),
    train_cfg=dict(by_epoch=True, max_epochs=int(sys.argv[2])), optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.01)),
    param_scheduler=dict(type="LinearLR", start_factor=0.1, begin=0, end=4), resume=bool(sys.argv[3:]),
    custom_hooks=[dict(type="EMAHook")], randomness=dict(seed=0), experiment_name="both",
)
runner.train()
step = next(iter(runner.optim_wrapper.optimizer.state.values()))["step"]
print()
print(json.dumps(dict(begun=begun[0], epoch=runner.epoch, weight=float(runner.model.linear.weight), steps=float(step))))
"""


def ours(script: str, *args: str) -> dict:
    call = [sys.executable, "-W", "ignore", "-c", script, *args]
    done = subprocess.run(call, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.timeout(500)
@pytest.mark.parametrize("writer", ["eng", "mmengine"])
def test_a_run_of_one_engine_goes_on_in_the_other(writer, versus, reference, tmp_path):
    work_dir = str(tmp_path / "run")
    if writer == "eng":
        first = ours(TRAINING.format(package="eng"), work_dir, "2")
        second = reference(TRAINING.format(package="mmengine"), work_dir, "3", "resume")
    else:
        first = reference(TRAINING.format(package="mmengine"), work_dir, "2")
        second = ours(TRAINING.format(package="eng"), work_dir, "3", "resume")
    epoch, iteration, weight, rate = second["begun"]
    assert (epoch, iteration, second["epoch"], second["steps"]) == (2, 8, 3, 12)
    assert weight == first["weight"]
    assert rate == pytest.approx(0.01 * (0.1 + 0.9 * 2 / 3))
    versus.report(f"a run of {writer} goes on in the other engine", f"epoch {second['epoch']}", "3", "")


@pytest.mark.timeout(1500)
def test_configs_of_a_whole_library(versus, reference, tmp_path):
    """The same content is held by `nox -s downstream`; here it is the time."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(tmp_path), LIBRARY]
    if subprocess.run(pip, capture_output=True, timeout=300, check=False).returncode:
        pytest.skip(f"{LIBRARY} cannot be downloaded")
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "library")
    listing = tmp_path / "configs.txt"
    files = sorted((tmp_path / "library/mmpretrain/.mim/configs").rglob("*.py"))
    listing.write_text("\n".join(map(str, files)), encoding="utf-8")
    call = [sys.executable, "-W", "ignore", "-m", "eng.compat", str(LOADER), str(listing)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=600, check=True)
    mine = json.loads(done.stdout[done.stdout.index("{") :])
    theirs = reference(LOADER.read_text(encoding="utf-8"), str(listing), timeout=900)
    same = {name for name, digest in theirs["digests"].items() if mine["digests"].get(name) == digest}
    versus.report(
        f"{len(theirs['digests'])} configs of mmpretrain, times faster than mmengine",
        f"{theirs['seconds']['text'] / mine['seconds']['text']:.1f}x",
        ">= 5",
        f"{theirs['seconds']['text']:.1f} s; {len(same)} with the same content",
    )
