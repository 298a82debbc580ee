"""Two ranks, of which the second reads its data slowly: python -m torch.distributed.run --nproc-per-node=2 slow_rank_run.py DIR"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import torch

from eng.model import BaseModel
from eng.runner import Runner


class Slow(torch.utils.data.Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        time.sleep(0.12 if os.environ["RANK"] == "1" else 0.02)
        return {"value": torch.ones(1)}


class Model(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)

    def forward(self, value: Any, mode: str = "tensor") -> dict[str, torch.Tensor]:
        time.sleep(0.04)
        return {"loss": self.fit(value).sum()}


if __name__ == "__main__":
    loader = dict(dataset=Slow(), batch_size=1, num_workers=0, collate_fn=dict(type="default_collate"))
    logger = dict(type="LoggerHook", interval=2)
    Runner(
        Model(), sys.argv[1], train_dataloader=loader, train_cfg=dict(max_epochs=1), launcher="pytorch",
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)), default_hooks=dict(logger=logger),
    ).train()  # fmt: skip
