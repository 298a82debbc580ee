"""A project written for MMEngine, unedited, on two ranks whose loaders have spawned workers: ``ENG_COMPAT=1`` reaches all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = """
import os, sys
import torch
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, MODELS


def note(what):
    with open(os.path.join(os.environ["OLD_PROJECT_NOTES"], f"{what}-{os.getpid()}"), "w") as file:
        file.write(sys.modules["mmengine"].__name__)


@DATASETS.register_module()
class Squares(BaseDataset):
    def load_data_list(self):
        return [dict(x=float(number)) for number in range(8)]

    def __getitem__(self, index):
        if torch.utils.data.get_worker_info() is not None:
            note("worker")
        x = torch.tensor([super().__getitem__(index)["x"]])
        return dict(x=x, y=x * x)


@MODELS.register_module()
class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, x, y, mode="tensor"):
        return dict(loss=(self.linear(x) - y).square().mean())


@HOOKS.register_module()
class Note(Hook):
    def after_train(self, runner):
        note(f"rank{runner.rank}of{runner.world_size}")
"""
CONFIG = """
custom_imports = dict(imports=["old_library"])
default_scope = "mmengine"
model = dict(type="Net")
train_dataloader = dict(batch_size=2, num_workers=1, collate_fn=dict(type="default_collate"), dataset=dict(type="Squares"),
                        sampler=dict(type="mmengine.dataset.DefaultSampler", shuffle=True))
train_cfg = dict(type="mmengine.runner.EpochBasedTrainLoop", max_epochs=1)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.001))
custom_hooks = [dict(type="Note")]
env_cfg = dict(mp_cfg=dict(mp_start_method="spawn"), dist_cfg=dict(backend="gloo"))
"""


@pytest.mark.timeout(280)
def test_the_variable_reaches_ranks_and_spawned_workers(tmp_path: Path) -> None:
    (tmp_path / "old_library.py").write_text(LIBRARY)
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "notes").mkdir()
    env = {**os.environ, "ENG_COMPAT": "1", "OMP_NUM_THREADS": "1", "OLD_PROJECT_NOTES": str(tmp_path / "notes")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "eng.cli", "train", "config.py", "--nproc", "2"],
        capture_output=True, text=True, cwd=tmp_path, env=env, timeout=270, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    notes = {path.name.partition("-")[0]: path.read_text() for path in (tmp_path / "notes").iterdir()}
    assert set(notes) == {"rank0of2", "rank1of2", "worker"}
    assert set(notes.values()) == {"eng.compat.toplevel"}
    assert len([path for path in (tmp_path / "notes").iterdir() if path.name.startswith("worker")]) == 2
