"""What several tests of this folder share."""

from __future__ import annotations

import torch
from torch import nn

from eng.checkpoint import load_checkpoint, save_checkpoint
from eng.model import BaseModel


def flip_a_weight(path) -> None:
    data = bytearray(path.read_bytes())
    place = data.find(torch.load(path)["state_dict"]["bias"].numpy().tobytes())
    data[place + 2] ^= 1
    path.write_bytes(data)


def save(folder, name, iteration, time="20260101_000000", meta=None, **more):
    facts = {"iter": iteration, "time": time, "run_id": "run", "save_number": iteration, "time_ns": 0}
    facts = {key: value for key, value in {**facts, **(meta or {})}.items() if value is not None}
    save_checkpoint({"meta": facts, "state_dict": {"w": torch.ones(50)}, **more}, folder / name)
    return str(folder / name)


class Net(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
        self.head = nn.Linear(width, 1)


def same(first, second):
    left, right = first.state_dict(), second.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def load_with_report(model, filename, **kwargs):
    reports = []
    load_checkpoint(model, filename, logger="silent", on_report=reports.append, **kwargs)
    return reports[0]


class Nested(BaseModel):
    """A model whose only child with parameters is called ``module``."""

    def __init__(self):
        super().__init__()
        self.module = nn.Linear(2, 1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        output = self.module(torch.stack(list(inputs)))
        return {"loss": output.square().mean()} if mode == "loss" else output
