from __future__ import annotations

import torch
from checkpoint_parts import Nested

from eng.hooks import EMAHook
from eng.runner import Runner


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"inputs": torch.tensor([float(index), 1.0])}


def test_trains_and_validates_with_losses_and_an_average(tmp_path):
    model = Nested()
    before = model.module.weight.clone()
    loader = torch.utils.data.DataLoader(Rows(), 2)
    runner = Runner(
        model,
        str(tmp_path),
        train_dataloader=loader,
        train_cfg={"by_epoch": True, "max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01}},
        val_dataloader=loader,
        val_cfg={"loss": True},
        custom_hooks=[EMAHook()],
    )
    runner.train()
    assert not torch.equal(model.module.weight, before)
    expected = {"module.weight", "module.bias"}
    assert set(torch.load(tmp_path / "epoch_2.pth", weights_only=False)["state_dict"]) == expected
    assert runner.message_hub.get_scalar("val/loss").current() > 0
