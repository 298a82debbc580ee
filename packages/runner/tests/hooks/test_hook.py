from __future__ import annotations

import torch

from eng.dataset import DefaultSampler
from eng.hooks import Hook, IterTimerHook
from eng.logging import MessageHub


def test_the_message_hub_knows_where_a_run_is(make_runner, parts) -> None:
    etas: list[float] = []

    class Sees(Hook):
        priority = "LOWEST"

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            etas.append(runner.message_hub.get_info("eta"))

    optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.25))
    runner = make_runner(**parts.validation(acc=[0.5, 0.75]), optim_wrapper=optim_wrapper, custom_hooks=[Sees()])
    runner.train()
    hub = runner.message_hub
    assert (hub.get_info("iter"), hub.get_info("epoch"), hub.get_info("max_iters"), hub.get_info("seed")) == (
        7,
        1,
        8,
        1,
    )
    assert list(hub.get_scalar("train/lr").data[0]) == [0.25] * 8
    assert list(hub.get_scalar("val/acc").data[0]) == [0.5, 0.75]
    assert len(hub.get_scalar("train/loss").data[0]) == 8
    assert len(etas) == 8
    assert all(eta > 0 for eta in etas[:-1])
    assert etas[-1] == 0


def test_times_and_the_remaining_time(monkeypatch) -> None:
    class At:
        iter, max_iters, message_hub = 0, 4, MessageHub("times")

    clock = iter([0.0, 1.0, 3.0, 3.5, 6.0])
    monkeypatch.setattr("eng.hooks.iter_timer_hook.time.perf_counter", lambda: next(clock))
    hook, runner = IterTimerHook(), At()
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    for number in range(2):
        runner.iter = number
        hook.before_train_iter(runner, number)
        hook.after_train_iter(runner, number, outputs={})
    histories = {key: list(buffer.data[0]) for key, buffer in runner.message_hub.log_scalars.items()}
    assert histories == {"train/data_time": [1.0, 0.5], "train/time": [3.0, 3.0]}
    assert runner.message_hub.get_info("eta") == 6.0


def test_each_epoch_has_a_shuffle_of_its_own(make_runner, parts) -> None:
    orders: list[list[float]] = [[]]

    class Order(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            orders[-1] += data_batch[0].flatten().tolist()

        def after_train_epoch(self, runner):
            orders.append([])

    plain = parts.loader()
    sampler = DefaultSampler(plain.dataset, shuffle=True, seed=1)
    loader = torch.utils.data.DataLoader(plain.dataset, batch_size=2, sampler=sampler)
    make_runner(train_dataloader=loader, custom_hooks=[Order()]).train()
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
