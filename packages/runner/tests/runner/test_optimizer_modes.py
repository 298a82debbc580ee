"""Optimizers with modes, averages with BatchNorm, and checkpoints of the trained weights alone."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from schedule_free_sgd import ScheduleFreeSGD
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset

from eng.evaluator import BatchMetric
from eng.hooks import EMAHook
from eng.registry import OPTIMIZERS
from eng.runner import Runner
from eng.runner.errors import ResumeError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.norm(self.body(x)))


def data():
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(12, 2, generator=generator), torch.randint(0, 3, (12,), generator=generator))


class Weights(BatchMetric):
    """Keeps the outputs of a validation, which tell its weights."""

    seen: list = []

    def update(self, preds):
        self.seen.append(preds.clone())

    def compute(self):
        return 0

    def reset(self): ...
    def state(self):
        return ()

    def merge(self, states): ...


@pytest.fixture(autouse=True)
def registered():
    Weights.seen = []
    with OPTIMIZERS.isolated():
        OPTIMIZERS.register_module(module=ScheduleFreeSGD)
        yield


def run(work_dir, epochs, model=None, resume=False, checkpoint=None, optimizer=None, hooks=()) -> Runner:
    torch.manual_seed(1)
    runner = Runner(
        model if model is not None else Net(),
        str(work_dir),
        loss="CrossEntropyLoss",
        train_dataloader=DataLoader(data(), batch_size=4),
        val_dataloader=DataLoader(data(), batch_size=12),
        val_cfg=dict(),
        val_evaluator=Weights(),
        train_cfg=dict(max_epochs=epochs),
        optim_wrapper=dict(optimizer=optimizer or dict(type="ScheduleFreeSGD", lr=0.2)),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1, **(checkpoint or {}))),
        custom_hooks=list(hooks),
        resume=resume,
        log_level="ERROR",
    )
    runner.train()
    return runner


def weights_of(path: Path) -> dict:
    return torch.load(path, weights_only=False)["state_dict"]


def test_schedule_free_equals_a_hand_written_loop(tmp_path) -> None:
    run(tmp_path, 2)
    torch.manual_seed(1)
    model = Net()
    optimizer = ScheduleFreeSGD(model.parameters(), lr=0.2)
    for epoch in (1, 2):
        model.train()
        optimizer.train()
        for x, y in DataLoader(data(), batch_size=4):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        optimizer.eval()
        model.eval()
        for name, value in weights_of(tmp_path / f"epoch_{epoch}.pth").items():
            torch.testing.assert_close(value, model.state_dict()[name], rtol=0, atol=1e-6, msg=name)
        with torch.no_grad():
            torch.testing.assert_close(Weights.seen[epoch - 1], model(data().tensors[0]), rtol=0, atol=1e-6)


def test_schedule_free_resumes_with_the_same_bits(tmp_path) -> None:
    straight = run(tmp_path / "a", 4)
    run(tmp_path / "b", 2)
    resumed = run(tmp_path / "b", 4, resume=True)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_statistics_of_an_average(tmp_path) -> None:
    sgd = dict(type="SGD", lr=0.2)
    runner = run(tmp_path, 2, optimizer=sgd, hooks=[EMAHook(momentum=0.3, bn_batches=3)])
    hook = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
    expected = copy.deepcopy(hook.ema_model.module.network)
    expected.norm.running_mean.fill_(7)
    update_bn([(x,) for x, _ in DataLoader(data(), batch_size=4)], expected)
    saved = weights_of(tmp_path / "epoch_2.pth")
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(saved[name], value, rtol=0, atol=1e-6, msg=name)
    with torch.no_grad():
        torch.testing.assert_close(Weights.seen[-1], expected.eval()(data().tensors[0]), rtol=0, atol=1e-6)


def test_statistics_of_an_average_change_nothing_in_training(tmp_path) -> None:
    sgd = dict(type="SGD", lr=0.2)
    plain = run(tmp_path / "a", 2, optimizer=sgd, hooks=[EMAHook(momentum=0.3)])
    updated = run(tmp_path / "b", 2, optimizer=sgd, hooks=[EMAHook(momentum=0.3, bn_batches=2)])
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, updated.model.state_dict()[name]), name


class Adapted(nn.Module):
    """A frozen base and a small part that is trained."""

    def __init__(self, base_seed=3):
        super().__init__()
        torch.manual_seed(base_seed)
        self.base = nn.Sequential(nn.Linear(2, 200), nn.Linear(200, 4)).requires_grad_(False)
        torch.manual_seed(4)
        self.adapter = nn.Linear(4, 3)

    def forward(self, x):
        return self.adapter(self.base(x))


TRAINABLE = dict(save_trainable_only=True)
ADAM = dict(type="AdamW", lr=0.1)


def test_trained_weights_alone_resume_with_the_same_bits(tmp_path) -> None:
    straight = run(tmp_path / "a", 3, Adapted(), checkpoint=TRAINABLE, optimizer=ADAM)
    run(tmp_path / "b", 1, Adapted(), checkpoint=TRAINABLE, optimizer=ADAM)
    assert set(weights_of(tmp_path / "b/epoch_1.pth")) == {"adapter.weight", "adapter.bias"}
    resumed = run(tmp_path / "b", 3, Adapted(), checkpoint=TRAINABLE, optimizer=ADAM, resume=True)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_another_base_is_refused(tmp_path) -> None:
    run(tmp_path, 1, Adapted(), checkpoint=TRAINABLE, optimizer=ADAM)
    with pytest.raises(ResumeError, match=r"holds the trained weights alone .*build the model from the same base"):
        run(tmp_path, 2, Adapted(base_seed=5), checkpoint=TRAINABLE, optimizer=ADAM, resume=True)
