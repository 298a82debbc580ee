from __future__ import annotations

import logging

import pytest
import torch
from checkpoint_parts import Net
from text_parts import STEER

from eng.checkpoint import save_checkpoint


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    weights = {"weight": torch.randn(20, 30), "bias": torch.randn(20)}
    torch.save({"meta": {"iter": 7, "time": "20260101_000000"}, "state_dict": weights}, tmp_path / "a.pth")
    return tmp_path / "a.pth"


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "eng")
    return caplog


@pytest.fixture
def saved(tmp_path):
    net = Net()
    save_checkpoint({"meta": {"iter": 1}, "state_dict": net.state_dict()}, tmp_path / "net.pth")
    return net, str(tmp_path / "net.pth")


@pytest.fixture
def checkpoint_with_escapes(tmp_path):
    meta = {"epoch": 1, "iter": 1, "time": STEER, STEER: STEER, "nested": {STEER: [STEER]}}
    torch.save({"meta": meta, "state_dict": {f"w{STEER}": torch.ones(1)}, STEER: 1}, tmp_path / "epoch_1.pth")
    return tmp_path / "epoch_1.pth"
