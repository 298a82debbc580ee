"""Makes ``mmengine_0_10_7_epoch_2.pth``: a short real training with MMEngine 0.10.7 itself.

    python -m venv reference && reference/bin/pip install mmengine==0.10.7 torch
    reference/bin/python make_mmengine_checkpoint.py mmengine_0_10_7_epoch_2.pth

Two epochs of four iterations with AdamW, a linear warm-up and an average of the weights.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)
        self.bn = nn.BatchNorm1d(1)

    def forward(self, x, y, mode="tensor"):
        out = self.bn(self.linear(x))
        return {"loss1": (out - y).square().mean(), "loss2": out.abs().mean()} if mode == "loss" else out


def main():
    x = torch.linspace(0, 1, 8)[:, None]
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(
            Net(), folder, train_dataloader=DataLoader(TensorDataset(x, 3 * x), batch_size=2),
            train_cfg=dict(by_epoch=True, max_epochs=2), optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.01)),
            param_scheduler=dict(type="LinearLR", start_factor=0.1, begin=0, end=2),
            custom_hooks=[dict(type="EMAHook")], default_hooks=dict(logger=dict(type="LoggerHook", interval=1)),
            randomness=dict(seed=0), experiment_name="reference",
        )  # fmt: skip
        runner.train()
        shutil.copy(Path(folder) / "epoch_2.pth", sys.argv[1])


if __name__ == "__main__":
    main()
