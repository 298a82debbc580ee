from __future__ import annotations

import torch
from checkpoint_parts import Nested
from torch import nn

from eng.checkpoint import get_state_dict
from eng.checkpoint._modules import wrapper_prefixes
from eng.hooks import EMAHook
from eng.registry import MODEL_WRAPPERS
from eng.runner import Runner


class Engine(nn.Module):
    """A wrapper of a user, whose ``module`` is not a direct child."""

    def __init__(self, model):
        super().__init__()
        self.engine = nn.Sequential(model)

    @property
    def module(self):
        return self.engine[0]


def test_a_wrapper_may_hold_its_module_deeper():
    with MODEL_WRAPPERS.isolated():
        MODEL_WRAPPERS.register_module(module=Engine)
        model = nn.ModuleDict({"backbone": Engine(nn.Linear(2, 1))})
        assert list(wrapper_prefixes(model)) == [("backbone.module.", "backbone.")]
        assert len(get_state_dict(model)) == 2


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
