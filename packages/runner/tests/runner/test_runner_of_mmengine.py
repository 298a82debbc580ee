"""A run that MMEngine began: what it would have ended with, it ends with here. `data/` tells how its files were made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.model import BaseModel

DATA = Path(__file__).parent / "data"
BEGUN = DATA / "mmengine_0_10_7_run_epoch_2.pth"


class Net(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 1))

    def forward(self, x, y, mode="tensor"):
        return {"loss": (self.net(x) - y).square().mean()}


@pytest.fixture
def resumed(make_runner):
    x = torch.stack([torch.linspace(0, 1, 12), torch.linspace(1, -1, 12).square()], dim=1)
    return make_runner(
        model=Net(),
        train_dataloader=DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=4),
        train_cfg=dict(max_epochs=5),
        optim_wrapper=dict(optimizer=dict(type="Adam", lr=0.05, weight_decay=0.01), clip_grad=dict(max_norm=0.5)),
        param_scheduler=[
            dict(type="LinearLR", start_factor=0.2, by_epoch=False, end=4),
            dict(type="CosineAnnealingLR", T_max=5),
        ],
        custom_hooks=[dict(type="EMAHook", momentum=0.2)],
        load_from=str(BEGUN),
        resume=True,
    )


def close(ours: torch.Tensor, theirs: object) -> bool:
    return torch.allclose(ours.double(), torch.tensor(theirs, dtype=torch.float64), rtol=1e-5, atol=1e-6)


def test_it_goes_on_here_as_it_would_have_there(resumed) -> None:
    expected = json.loads((DATA / "mmengine_0_10_7_run_epoch_5.json").read_text())
    resumed.train()
    ended = torch.load(Path(resumed.work_dir) / "epoch_5.pth")
    assert (resumed.epoch, resumed.iter) == (5, 15)
    for kind, found in (("average", ended["state_dict"]), ("weights", ended["ema_state_dict"])):
        assert set(found) == set(expected[kind])
        assert {name for name, value in found.items() if not close(value, expected[kind][name])} == set(), kind
    for number, moments in expected["moments"].items():
        state = ended["optimizer"]["state"][int(number)]
        assert all(close(state[name], value) for name, value in moments.items())
    hub = resumed.message_hub
    for name in ("lr", "loss"):  # what was logged before goes on, too
        assert list(hub.get_scalar(f"train/{name}").data[0]) == pytest.approx(expected[name], rel=1e-4)
