"""Weights and pictures in channels-last order."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.model import BaseModel
from eng.runner import Runner


class Convolutions(BaseModel):
    """Two convolutions and one over volumes; notes the order in which pictures come."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))
        self.volumes = nn.Conv3d(1, 2, 2)
        self.orders: list[bool] = []

    def forward(self, pictures: torch.Tensor, labels: torch.Tensor, mode: str = "tensor"):
        self.orders.append(pictures.is_contiguous(memory_format=torch.channels_last))
        scores = self.net(pictures).mean(dim=(2, 3)) + self.volumes(pictures[:, None, :, :4, :4]).mean()
        return {"loss": nn.functional.cross_entropy(scores, labels)} if mode == "loss" else scores


def train(work_dir, **settings) -> tuple[Convolutions, list[float]]:
    torch.manual_seed(0)
    model = Convolutions()
    data = TensorDataset(torch.randn(16, 3, 8, 8), torch.randint(4, (16,)))
    runner = Runner(
        model, str(work_dir), DataLoader(data, batch_size=4), train_cfg=dict(max_epochs=3), log_level="ERROR",
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9)), randomness=dict(seed=0), **settings,
    )  # fmt: skip
    runner.train()
    return model, [float(value) for value in runner.message_hub.get_scalar("train/loss").data[0]]


def test_channels_last_changes_the_order_in_memory_and_neither_shapes_nor_losses(tmp_path) -> None:
    plain, losses = train(tmp_path / "plain")
    model, other_losses = train(tmp_path / "last", env_cfg=dict(channels_last=True))
    assert not any(plain.orders) and len(model.orders) == 12 and all(model.orders)
    assert model.net[0].weight.shape == (8, 3, 3, 3) and model.net[0].weight.stride() == (27, 1, 9, 3)
    assert model.volumes.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert model.net[1].weight.is_contiguous()
    torch.testing.assert_close(other_losses, losses, atol=1e-5, rtol=1e-5)


def test_a_checkpoint_in_either_order_is_read_in_the_other(tmp_path) -> None:
    last, _ = train(tmp_path / "last", env_cfg=dict(channels_last=True))
    plain, _ = train(tmp_path / "plain", load_from=str(tmp_path / "last" / "epoch_3.pth"))
    saved = torch.load(tmp_path / "last" / "epoch_3.pth", weights_only=False)["state_dict"]["net.0.weight"]
    assert torch.equal(saved, last.net[0].weight) and plain.net[0].weight.is_contiguous()
