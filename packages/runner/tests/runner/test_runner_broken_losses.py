"""Losses that are not finite: told in epochs of any length, never saved, left out."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from eng.hooks.non_finite_loss_hook import NonFiniteLossHook, probable_causes
from eng.runner.errors import NonFiniteLossError

# Ten batches of four samples; a poisoned batch has a target that is no number.
X = torch.linspace(0, 1, 40)[:, None]


def poisoned(*batches: int) -> DataLoader:
    y = 3 * X
    for batch in batches:
        y[4 * batch] = float("nan")
    return DataLoader(TensorDataset(X, y), batch_size=4)


def bare_weights(model, epochs: int, without: set[int]) -> torch.Tensor:
    """What a loop of one's own gives that never sees some batches."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(epochs):
        for batch in set(range(10)) - without:
            x = X[4 * batch : 4 * batch + 4]
            optimizer.zero_grad()
            (model.fit(x) - 3 * x).square().mean().backward()
            optimizer.step()
    return model.fit.weight.detach()


@pytest.fixture
def run(make_runner):
    def start(policy, *batches: int, interval: int = 50, **changes):
        hooks = {"logger": {"type": "LoggerHook", "interval": interval}, **changes.pop("default_hooks", {})}
        return make_runner(
            train_dataloader=poisoned(*batches),
            nan_policy=policy,
            default_hooks=hooks,
            **{"train_cfg": {"max_epochs": 3}, **changes},
        )

    return start


def weights_in(folder) -> list[torch.Tensor]:
    return [torch.load(path)["state_dict"]["fit.weight"] for path in sorted(folder.glob("*.pth"))]


def test_an_interval_longer_than_an_epoch_is_reached_and_keeps_nothing(run) -> None:
    runner = run("warn", interval=12)
    runner.train()
    assert runner.hook_list.first(NonFiniteLossHook)._seen == []


def test_a_warning_comes_although_the_epoch_is_shorter_than_the_interval(run, heard) -> None:
    run("warn", 9).train()
    assert "the first at iteration 10" in heard.text


@pytest.mark.parametrize("interval", [3, 10, 50])
def test_stop_leaves_no_checkpoint_of_broken_weights(run, interval, tmp_path) -> None:
    runner = run("stop", 9, interval=interval)
    with pytest.raises(NonFiniteLossError, match="iteration 10 gave a non-finite loss"):
        runner.train()
    assert weights_in(tmp_path / "run") == []


def test_stop_keeps_the_checkpoints_before_the_break(run, tmp_path) -> None:
    every_third = {"checkpoint": {"type": "CheckpointHook", "interval": 3, "by_epoch": False}}
    with pytest.raises(NonFiniteLossError):
        run("stop", 7, default_hooks=every_third).train()
    kept = weights_in(tmp_path / "run")
    assert len(kept) == 2
    assert all(torch.isfinite(weight).all() for weight in kept)


@pytest.mark.parametrize("by_epoch", [True, False], ids=["epochs", "iterations"])
@pytest.mark.parametrize(("batch", "interval"), [(9, 50), (9, 10), (1, 3)])
def test_rollback_ends_as_a_run_that_never_saw_the_batch(run, parts, by_epoch, batch, interval) -> None:
    train_cfg = {"by_epoch": True, "max_epochs": 3} if by_epoch else {"by_epoch": False, "max_iters": 30}
    runner = run("rollback", batch, interval=interval, train_cfg=train_cfg)
    runner.train()
    assert runner.iter == 30
    assert torch.allclose(runner.model.fit.weight, bare_weights(parts.Line(), 3, {batch}))


def test_rollback_goes_on_over_neighbours_that_are_both_broken(run) -> None:
    runner = run("rollback", 4, 5, train_cfg={"max_epochs": 1})
    runner.train()
    assert torch.isfinite(runner.model.fit.weight).all()
    assert runner.train_loop.left_out == {3, 4, 5}


def test_rollback_takes_no_checkpoint_of_an_earlier_run_in_the_same_folder(run, make_runner, parts) -> None:
    make_runner(train_dataloader=poisoned(), train_cfg={"max_epochs": 5}).train()
    runner = run("rollback", 1)
    runner.train()
    assert torch.allclose(runner.model.fit.weight, bare_weights(parts.Line(), 3, {1}))


def test_rollback_gives_up_when_everything_breaks(run) -> None:
    with pytest.raises(NonFiniteLossError):
        run("rollback", *range(10)).train()


@pytest.mark.parametrize(
    ("iteration", "left_out", "expected"),
    [(0, set(), {0}), (1, {0}, {1}), (9, {8}, {9, 7}), (9, {9}, set()), (9, {5, 6, 7, 8}, set())],
)
def test_what_is_left_out(iteration, left_out, expected) -> None:
    assert probable_causes(iteration, left_out) == expected


@pytest.mark.parametrize("counts", [1, 2])
def test_a_last_iteration_that_is_left_out_still_ends_the_run(run, tmp_path, counts) -> None:
    """Batches 0 to 8 are trained on and the tenth is passed over: its window is closed and the last checkpoint written."""
    hooks = {"checkpoint": {"type": "CheckpointHook", "by_epoch": False, "interval": 4}}
    wrapper = {"optimizer": {"type": "SGD", "lr": 0.1}, "accumulative_counts": counts}
    settings = {"train_cfg": {"by_epoch": False, "max_iters": 10}, "optim_wrapper": wrapper, "default_hooks": hooks}
    runner = run("rollback", 9, interval=1, **settings)
    runner.train()
    saved = torch.load(tmp_path / "run" / "iter_10.pth")
    assert torch.equal(saved["state_dict"]["fit.weight"], runner.model.fit.weight)
    assert runner.model.fit.weight.grad is None
    assert runner.optim_wrapper.update_count == {1: 9, 2: 5}[counts]
