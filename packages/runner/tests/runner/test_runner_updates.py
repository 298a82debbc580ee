"""Schedules that count optimizer updates, in runs that accumulate."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eng.hooks import Hook
from eng.model import BaseModel
from eng.optim import OptimWrapper, OptimWrapperDict
from eng.runner import Runner


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.fit = nn.Linear(1, 1)

    def forward(self, x, y, mode="tensor"):
        return {"loss": (self.fit(x) - y).square().mean()}


def run(tmp_path, accumulative_counts: int, **scheduler) -> tuple[Runner, list[float]]:
    x = torch.linspace(0, 1, 12)[:, None]
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 3 * x), batch_size=1)
    runner = Runner(
        Line(), str(tmp_path), train_dataloader=loader, train_cfg=dict(max_epochs=1), log_level="ERROR",
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=1.0), accumulative_counts=accumulative_counts),
        param_scheduler=scheduler, default_hooks=dict(checkpoint=None),
    )  # fmt: skip
    rates: list[float] = []
    original = runner.model.train_step

    def noting(data, optim_wrapper):
        rates.append(optim_wrapper.optimizer.param_groups[0]["lr"])
        return original(data, optim_wrapper)

    runner.model.train_step = noting
    runner.train()
    return runner, rates


def test_the_rate_moves_with_updates_not_with_iterations(tmp_path) -> None:
    _, rates = run(tmp_path, 4, type="MultiStepLR", milestones=[1, 2], gamma=0.1, by="update")
    assert rates == pytest.approx([1.0] * 4 + [0.1] * 4 + [0.01] * 4)


@pytest.mark.parametrize("begin", [0, 1])
def test_a_later_begin_waits_for_updates_too(tmp_path, begin) -> None:
    _, rates = run(tmp_path, 3, type="ConstantLR", factor=0.5, by="update", begin=begin, end=begin + 2)
    assert rates == pytest.approx([1.0] * 3 * begin + [0.5] * 3 + [1.0] * (9 - 3 * begin))


def test_without_an_end_it_ends_with_the_run(tmp_path) -> None:
    runner, _ = run(tmp_path, 4, type="CosineAnnealingLR", by="update")
    assert runner.param_schedulers[0].end == 3


def test_states_are_kept_by_name(tmp_path) -> None:
    runner, _ = run(tmp_path, 1, type="ConstantLR", by_epoch=False)
    (group,) = runner.optim_wrapper.state_dict()["param_groups"]
    assert group["param_names"] == ["fit.weight", "fit.bias"]


class NotFinite(BaseModel):
    """Gives an infinite loss in its first calls."""

    def __init__(self, bad: int) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)
        self.bad, self.calls = bad, 0

    def forward(self, x, mode="tensor"):
        self.calls += 1
        return {"loss": self.fit(x).square().mean() * (float("inf") if self.calls <= self.bad else 1.0)}


@pytest.mark.parametrize(
    "wrapper",
    [
        dict(type="AmpOptimWrapper", dtype="float16"),
        dict(skip_nonfinite=True),
        dict(nan_policy="skip"),
        dict(type="AmpOptimWrapper", dtype="float16", clip_grad=dict(max_norm=1.0)),
    ],
    ids=["scaler", "guard", "policy", "scaler and clipping"],
)
def test_skipped_steps_are_no_updates(tmp_path, wrapper) -> None:
    policy = wrapper.pop("nan_policy", "warn")
    rates = []

    class Note(Hook):
        priority = "LOWEST"

        def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
            rates.append(runner.optim_wrapper.optimizer.param_groups[0]["lr"])

    runner = Runner(
        NotFinite(2), str(tmp_path), train_dataloader=[dict(x=torch.ones(2, 1))] * 2, train_cfg=dict(by_epoch=False, max_iters=5),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1), **wrapper), nan_policy=policy, custom_hooks=[Note()],
        param_scheduler=dict(type="ExponentialLR", gamma=0.5, by="update"), log_level="ERROR",
    )  # fmt: skip
    runner.train()
    assert runner.optim_wrapper.update_count == 3
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.025])
    assert (
        torch.load(tmp_path / "iter_5.pth" if (tmp_path / "iter_5.pth").exists() else tmp_path / "epoch_1.pth")[
            "run_state"
        ]["accumulation"]["update_count"]
        == 3
    )


class Sum(BaseModel):
    """A weight whose gradient is the mean of the batch: the update shows which batches counted how much."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x, mode="tensor"):
        return {"loss": self.weight * x.mean()}


def sums(tmp_path, values, counts=3, **settings):
    """The weight after training with rate 1 on batches of one value each, and the gradient that is left."""
    batches = [dict(x=torch.tensor([float(value)])) for value in values]
    runner = Runner(
        Sum(), str(tmp_path), train_dataloader=batches,
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=1.0), accumulative_counts=counts), log_level="ERROR",
        **{"train_cfg": dict(max_epochs=1), **settings},
    )  # fmt: skip
    runner.train()
    gradient = runner.model.weight.grad
    return -runner.model.weight.item(), 0.0 if gradient is None else gradient.item()


def test_the_first_window_of_an_extended_run_has_its_own_scale(tmp_path) -> None:
    """Windows of 3 over 8 batches: (1 2 3) (4 5 6) (7 8), and then, resumed for another epoch, (1) (2 3 4) (5 6 7) (8)."""
    values = list(range(1, 9))
    first, left = sums(tmp_path, values)
    assert (first, left) == (pytest.approx(2 + 5 + 7.5), 0.0)
    extended, left = sums(tmp_path, values, resume=True, train_cfg=dict(max_epochs=2))
    assert (extended, left) == (pytest.approx(first + 1 + 3 + 6 + 8), 0.0)


def test_no_gradient_is_left_where_a_resume_changes_the_length_of_an_epoch(tmp_path) -> None:
    class Stop(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
            if runner.iter == 1:
                runner.save_checkpoint(runner.work_dir, "inside.pth")
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sums(tmp_path, [1, 2, 3, 4], custom_hooks=[Stop()])
    total, left = sums(
        tmp_path,
        [1, 2, 3, 4, 5, 6, 7],
        load_from=str(tmp_path / "inside.pth"),
        resume=True,
        train_cfg=dict(max_epochs=2),
    )
    # 1 and 2 were seen; 3 ends their window, and 11 more batches follow: three windows and two batches at the end.
    assert total == pytest.approx(2 + 5 + (7 + 1 + 2) / 3 + 4 + (6 + 7) / 2)
    assert left == 0.0


def test_several_optimizers_use_their_last_window_too(tmp_path) -> None:
    class Pair(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = Sum(), Sum()

        def train_step(self, data, optim_wrapper):
            for name in ("a", "b"):
                optim_wrapper[name].update_params(getattr(self, name)(**data)["loss"])
            return {}

        def forward(self, x, mode="tensor"): ...

    model = Pair()
    wrappers = {
        name: OptimWrapper(torch.optim.SGD(getattr(model, name).parameters(), lr=1.0), accumulative_counts=counts)
        for name, counts in (("a", 3), ("b", 1))
    }
    batches = [dict(x=torch.tensor([float(value)])) for value in range(1, 6)]
    Runner(
        model, str(tmp_path), train_dataloader=batches, train_cfg=dict(max_epochs=1),
        optim_wrapper=OptimWrapperDict(**wrappers), log_level="ERROR",
    ).train()  # fmt: skip
    assert (-model.a.weight.item(), -model.b.weight.item()) == (pytest.approx(2 + 4.5), pytest.approx(15))
    assert torch.load(tmp_path / "epoch_1.pth")["state_dict"]["a.weight"].item() == pytest.approx(-6.5)
