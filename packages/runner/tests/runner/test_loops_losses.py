"""A model whose child is called ``module``, as the inside of a wrapper is."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from eng.evaluator import BaseMetric
from eng.model import BaseModel
from eng.runner import Runner


class WithModule(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(2, 1, bias=False)

    def forward(self, inputs: torch.Tensor, mode: str = "tensor") -> object:
        out = self.module(inputs)
        return {"loss": out.square().mean()} if mode == "loss" else list(out)


class Count(BaseMetric):
    def process(self, data_batch: object, data_samples: list[object]) -> None:
        self.results += [1] * len(data_samples)

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        return {"count": float(sum(results))}


def test_a_model_with_a_child_called_module_trains_validates_with_losses_and_compiles(tmp_path) -> None:
    model = WithModule()
    nn.init.ones_(model.module.weight)
    loader = torch.utils.data.DataLoader([{"inputs": torch.ones(2)} for _ in range(4)], batch_size=4)
    runner = Runner(
        model,
        str(tmp_path),
        train_dataloader=loader,
        val_dataloader=loader,
        train_cfg={"max_epochs": 1},
        val_cfg={"loss": True},
        val_evaluator=Count(prefix=""),
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        compile={"backend": "eager"},
    )
    runner.train()
    # loss (w1 + w2)^2 at w = (1, 1): gradient 4 each, so w = 0.6 and the validation's loss is 1.2^2.
    assert model.module.weight.tolist() == [[pytest.approx(0.6), pytest.approx(0.6)]]
    assert runner.message_hub.get_scalar("val/loss").current() == pytest.approx(1.44)
    assert runner.message_hub.get_scalar("val/count").current() == 4
    assert model._compiled_call_impl is not None
    assert model.module._compiled_call_impl is None


def test_each_validation_logs_its_own_loss(tmp_path) -> None:
    """With one weight w, data of ones and the loss w^2, an update at rate 0.1 makes w smaller by a fifth."""
    model = WithModule()
    model.module = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.module.weight)
    loader = torch.utils.data.DataLoader([{"inputs": torch.ones(1)} for _ in range(4)], batch_size=4)
    runner = Runner(
        model, str(tmp_path), train_dataloader=loader, val_dataloader={"a": loader, "b": loader},
        train_cfg={"max_epochs": 3}, val_cfg={"loss": True}, val_evaluator=Count(prefix=""),
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}}, default_hooks={"checkpoint": None},
    )  # fmt: skip
    runner.train()
    (scalars,) = tmp_path.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    losses = [line["a/loss"] for line in lines if "a/loss" in line]
    assert losses == pytest.approx([0.8**2, 0.8**4, 0.8**6], rel=1e-5)
