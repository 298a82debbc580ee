"""Losses that are not finite, runs that are told to end."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec

import pytest
import torch

from eng.hooks import Hook, NonFiniteLossHook
from eng.runner import NonFiniteLossError, Preemption, RunInterrupted


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def test_warn_names_the_first_bad_iteration_and_goes_on(make_runner, parts, heard) -> None:
    runner = make_runner(model=parts.Line(bad_at=(3,)), nan_policy=dict(type="warn", interval=4))
    runner.train()
    assert runner.iter == 8
    assert "losses are not finite, the first at iteration 3" in heard.text


def test_stop_ends_the_run_and_names_loss_and_iteration(make_runner, parts) -> None:
    with pytest.raises(NonFiniteLossError, match="iteration 3 gave a non-finite loss") as caught:
        make_runner(model=parts.Line(bad_at=(3,)), nan_policy=dict(type="stop", interval=2)).train()
    assert (caught.value.iteration, caught.value.losses) == (2, ["loss"])
    command_is_installed = find_spec("eng.cli") is not None
    notes = getattr(caught.value, "__notes__", ["eng help NonFiniteLossError says what to do"])  # Python 3.11
    assert any("eng help NonFiniteLossError" in note for note in notes) == command_is_installed


@pytest.mark.parametrize(
    "optimizer", [dict(type="SGD", lr=0.1, momentum=0.9), dict(type="Adam", lr=0.1)], ids=["SGD", "Adam"]
)
@pytest.mark.parametrize("bad", [1, 3])
def test_skip_leaves_weights_and_optimizer_as_they_were(make_runner, parts, optimizer, bad) -> None:
    seen = []

    class Sees(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            state = runner.optim_wrapper.optimizer.state.values()
            tensors = [t.clone() for s in state for t in s.values() if isinstance(t, torch.Tensor)]
            seen.append((weights(runner.model), tensors))

    model = parts.Line(bad_at=(bad,))
    begin = weights(model)
    make_runner(model=model, nan_policy="skip", optim_wrapper=dict(optimizer=optimizer), custom_hooks=[Sees()]).train()
    before = begin if bad == 1 else seen[bad - 2][0]
    assert all(torch.equal(a, b) for a, b in zip(before, seen[bad - 1][0], strict=True))
    if bad > 1:
        assert all(torch.equal(a, b) for a, b in zip(seen[bad - 2][1], seen[bad - 1][1], strict=True))
    else:
        assert not any(t.any() for t in seen[0][1])
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert not torch.equal(seen[-1][0][0], seen[bad - 1][0][0])


def test_rollback_goes_back_to_the_checkpoint_and_leaves_the_batch_out(make_runner, parts, heard) -> None:
    model = parts.Line(bad_at=(7,))
    runner = make_runner(model=model, nan_policy=dict(type="rollback", interval=1), train_cfg=dict(max_epochs=3))
    heard.listen(runner.logger)
    runner.train()
    assert "going back to" in heard.text
    assert runner.iter == 12
    # 7 calls to the bad one, then epoch 2 again from iteration 4 without iteration 6: 3 calls, then 4.
    assert model.calls == 7 + 3 + 4
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_rollback_without_checkpoints_stops(make_runner, parts) -> None:
    settings = dict(nan_policy=dict(type="rollback", interval=1), default_hooks=dict(checkpoint=None))
    with pytest.raises(NonFiniteLossError, match="iteration 2"):
        make_runner(model=parts.Line(bad_at=(2,)), **settings).train()


@pytest.mark.parametrize(
    ("policy", "expected"), [("stop", ("stop", 7)), (dict(type="skip", interval=3), ("skip", 3))], ids=str
)
def test_the_interval_of_a_policy_is_the_logs_by_default(make_runner, policy, expected) -> None:
    runner = make_runner(nan_policy=policy, default_hooks=dict(logger=dict(type="LoggerHook", interval=7)))
    runner.train()
    hook = runner.hook_list.first(NonFiniteLossHook)
    assert (hook.policy, hook.interval) == expected


def test_a_run_without_the_hook_reads_no_losses(make_runner, parts) -> None:
    runner = make_runner(model=parts.Line(bad_at=(2,)), nan_policy="stop", default_hooks=dict(non_finite_loss=None))
    runner.train()
    assert runner.iter == 8


def test_nothing_is_read_from_the_device_between_two_lines(make_runner, parts, monkeypatch) -> None:
    """Counts every way in which a tensor's value reaches Python."""
    reads: list[int] = []
    at = [0]

    class Where(Hook):
        priority = "HIGHEST"

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            at[0] = runner.iter + 1

    for name in ("item", "tolist", "__float__", "__int__", "__bool__", "cpu", "numpy"):
        plain = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda self, *a, _plain=plain, **k: reads.append(at[0]) or _plain(self, *a, **k)
        )
    make_runner(
        train_dataloader=parts.loader(400, 2),
        train_cfg=dict(by_epoch=False, max_iters=150),
        default_hooks=dict(
            logger=dict(type="LoggerHook", interval=50),
            checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=-1),
        ),
        param_scheduler=dict(type="CosineAnnealingLR", by_epoch=False),
        custom_hooks=[Where(), dict(type="EMAHook")],
        nan_policy="skip",
    ).train()
    assert reads
    # 0 is what comes before the first iteration, which itself sets the averaged copy up.
    assert {number for number in reads if number % 50} <= {0, 1}


class Signal(Hook):
    def __init__(self, name, at, point="after_train_iter"):
        self.number, self.left = getattr(signal, name), at
        setattr(self, point, self.count)

    def count(self, *args, **kwargs):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGUSR1", 138)])
@pytest.mark.parametrize("point", ["after_train_iter", "before_val_iter", "before_run"])
def test_a_signal_saves_the_run_at_the_next_safe_point(make_runner, parts, name, code, point, tmp_path) -> None:
    earlier = signal.getsignal(getattr(signal, name))
    runner = make_runner(**parts.validation(acc=[1]), custom_hooks=[Signal(name, 1, point)])
    with pytest.raises(
        RunInterrupted, match=f"stopped by {name} (at|in the validation after) epoch .*its state is in"
    ) as caught:
        runner.train()
    assert caught.value.code == code
    assert "run_state" in torch.load(caught.value.checkpoint)
    assert signal.getsignal(getattr(signal, name)) is earlier


def test_a_time_budget_ends_with_a_status_of_its_own(make_runner, tmp_path) -> None:
    with pytest.raises(RunInterrupted, match="stopped by time budget") as caught:
        make_runner(preemption=dict(time_budget_s=0.0)).train()
    assert caught.value.code == 75
    resumed = make_runner(resume=True)
    resumed.train()
    assert resumed.iter == 8
    assert not list((tmp_path / "run").glob("interrupted_*"))


def test_slurm_tells_when_the_job_ends(monkeypatch) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1000")
    assert Preemption(margin_s=10).poll(0) == "time budget"
    monkeypatch.setenv("SLURM_JOB_END_TIME", "99999999999")
    assert Preemption().poll(0) is None


def test_a_second_signal_acts_at_once() -> None:
    def stop(number, frame):
        raise KeyboardInterrupt

    with Preemption(signals=["SIGINT"]) as preemption:
        os.kill(os.getpid(), signal.SIGINT)
        assert preemption.reason == "SIGINT"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_an_earlier_handler_is_called_too() -> None:
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        with Preemption():
            os.kill(os.getpid(), signal.SIGUSR1)
        assert heard == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_forked_process_does_not_take_part() -> None:
    with Preemption() as preemption:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGTERM
        assert preemption.reason is None
