"""A run that MMEngine began: what it would have ended with, it ends with here. `data/` tells how its files were made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.checkpoint import CheckpointLoader
from eng.model import BaseModel
from eng.runner.state.restore import run_differences

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


@pytest.mark.parametrize(
    ("now", "differ"),
    [
        ({"sigmas": np.array([0.5, np.nan]), "skeleton": [(0, np.array([1, 2]))]}, False),
        ({"sigmas": torch.tensor([0.5, torch.nan], dtype=torch.float64), "skeleton": [[0, [1, 2]]]}, False),
        ({"sigmas": np.array([0.5, 0.7]), "skeleton": [(0, np.array([1, 2]))]}, True),
        ({"sigmas": np.array([0.5, np.nan, 1]), "skeleton": [(0, np.array([1, 2]))]}, True),
    ],
)
def test_arrays_in_the_metainfo_of_a_dataset_are_compared_by_their_values(now, differ) -> None:
    saved = {"sigmas": np.array([0.5, np.nan]), "skeleton": [(0, np.array([1, 2]))]}
    assert bool(run_differences({"dataset_meta": saved}, seed=None, dataset_meta=now)) is differ


def test_a_checkpoint_whose_metainfo_holds_arrays_is_resumed(make_runner, tmp_path) -> None:
    checkpoint = CheckpointLoader.load_checkpoint(str(BEGUN))
    checkpoint["meta"]["dataset_meta"] = {"classes": ("a",), "sigmas": np.arange(3.0)}
    torch.save(checkpoint, tmp_path / "begun.pth")
    x = torch.rand(12, 2)
    dataset = TensorDataset(x, x)
    dataset.metainfo = {"classes": ("a",), "sigmas": np.arange(3.0)}
    runner = make_runner(
        model=Net(),
        train_dataloader=DataLoader(dataset, batch_size=4),
        train_cfg=dict(max_epochs=5),
        optim_wrapper=dict(optimizer=dict(type="Adam", lr=0.05)),
    )
    runner.resume(str(tmp_path / "begun.pth"))
    assert runner.epoch == 2
