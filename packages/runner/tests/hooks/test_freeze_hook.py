"""Frozen parameters keep their bits and their optimizer state; training goes on as a hand-written loop does."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from eng.hooks import FreezeHook
from eng.runner import Runner


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.body(x))


def loader() -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(12, 2, generator=generator), torch.randint(0, 3, (12,), generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=4)


def net() -> Net:
    torch.manual_seed(1)
    return Net()


def run(work_dir, epochs, *hooks, resume=False, **wrapper) -> Runner:
    runner = Runner(
        net(),
        str(work_dir),
        loss="CrossEntropyLoss",
        train_dataloader=loader(),
        train_cfg=dict(max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.1, weight_decay=0.1), **wrapper),
        custom_hooks=list(hooks),
        resume=resume,
        log_level="ERROR",
    )
    runner.train()
    return runner


def by_hand(frozen_epochs: set[int], epochs: int, lr_mult: float = 1.0) -> nn.Module:
    model = net()
    body, head = list(model.body.parameters()), list(model.head.parameters())
    optimizer = torch.optim.AdamW([dict(params=body), dict(params=head)], lr=0.1, weight_decay=0.1)
    scaled = False
    for epoch in range(epochs):
        model.train()
        if epoch in frozen_epochs:
            model.body[1].eval()
        elif frozen_epochs and not scaled:
            optimizer.param_groups[0]["lr"] *= lr_mult
            scaled = True
        for x, y in loader():
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            for parameter in body if epoch in frozen_epochs else ():
                parameter.grad = None
            optimizer.step()
    return model


CUSTOM = dict(paramwise_cfg=dict(custom_keys={"body": dict(lr_mult=1.0)}))


@pytest.mark.parametrize(
    ("hook", "frozen", "lr_mult", "wrapper"),
    [
        (dict(patterns="body", end=1), {0}, 1.0, {}),
        (dict(patterns=["body"]), {0, 1, 2}, 1.0, {}),
        (dict(patterns=r"body\.[01]\.", begin=1, end=2), {1}, 1.0, {}),
        (dict(patterns="body", begin=0, end=3, by_epoch=False), {0}, 1.0, {}),
        (dict(patterns="body", end=1, lr_mult=0.1), {0}, 0.1, CUSTOM),
    ],
    ids=["first epoch", "always", "second epoch", "iterations", "learning rate"],
)
def test_equals_a_hand_written_loop(hook, frozen, lr_mult, wrapper, tmp_path) -> None:
    trained = run(tmp_path, 3, FreezeHook(**hook), **wrapper).model.state_dict()
    for name, value in by_hand(frozen, 3, lr_mult).state_dict().items():
        assert torch.allclose(trained[name], value, rtol=0, atol=1e-6), name


@pytest.mark.parametrize("at", [1, 2, 3], ids="resumed after epoch {}".format)
@pytest.mark.parametrize("options", [dict(end=2), dict(begin=1, end=3), dict(end=2, lr_mult=0.5)], ids=str)
def test_right_over_a_resume(at, options, tmp_path) -> None:
    straight = run(tmp_path / "a", 4, FreezeHook("body", **options), **CUSTOM)
    run(tmp_path / "b", at, FreezeHook("body", **options), **CUSTOM)
    resumed = run(tmp_path / "b", 4, FreezeHook("body", **options), resume=True, **CUSTOM)
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    rates = [[group["lr"] for group in runner.optim_wrapper.optimizer.param_groups] for runner in (straight, resumed)]
    assert rates[0] == rates[1]


def test_the_frozen_part_keeps_its_bits_and_has_no_state(tmp_path) -> None:
    runner = run(tmp_path, 2, FreezeHook("body"))
    for name, value in net().body.state_dict().items():
        assert torch.equal(value, runner.model.network.body.state_dict()[name]), name
    state = runner.optim_wrapper.optimizer.state
    assert not any(parameter in state for parameter in runner.model.network.body.parameters())
    assert all(parameter.requires_grad for parameter in runner.model.parameters())


def test_batch_norm_may_go_on(tmp_path) -> None:
    runner = run(tmp_path, 1, FreezeHook("body", norm_eval=False))
    assert runner.model.network.body[1].num_batches_tracked == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(patterns=[]), "FreezeHook needs one pattern"),
        (dict(patterns="a", begin=2, end=2), "begin=2 to end=2: end must be behind begin"),
        (dict(patterns="a", begin=-1), "from begin=-1"),
    ],
    ids=["none", "end", "negative"],
)
def test_bad_arguments(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        FreezeHook(**options)


def test_a_pattern_that_fits_nothing(tmp_path) -> None:
    with pytest.raises(
        ValueError, match="no parameter's name fits 'backbone'; the model's names begin with body, head"
    ):
        run(tmp_path, 1, FreezeHook("backbone"))


def test_a_learning_rate_without_a_group(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"share a group with others; .*paramwise_cfg"):
        run(tmp_path, 1, FreezeHook("body", end=1, lr_mult=0.1))


def test_patterns_that_fit_all_parameters(tmp_path) -> None:
    message = (
        r"FreezeHook: \['body', 'head'\] fit all that is trained \(6 parameters\), so that nothing is left to train"
    )
    with pytest.raises(ValueError, match=message):
        run(tmp_path, 1, FreezeHook(["body", "head"]))
