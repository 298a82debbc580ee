from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("schedulers", "expected"),
    [
        (dict(type="StepLR", step_size=1, gamma=0.5), [0.1] * 4 + [0.05] * 4),
        (
            dict(type="StepLR", step_size=2, gamma=0.5, by_epoch=False),
            [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125],
        ),
        ([dict(type="LinearLR", start_factor=0.5, end=2, by_epoch=False)], [0.05] + [0.1] * 7),
    ],
    ids=["epochs", "iterations", "list"],
)
def test_learning_rates_follow_their_schedule(make_runner, schedulers, expected) -> None:
    runner = make_runner(param_scheduler=schedulers)
    runner.train()
    assert list(runner.message_hub.get_scalar("train/lr").data[0]) == pytest.approx(expected)


def test_a_plateau_follows_the_metric(make_runner, parts) -> None:
    scheduler = dict(type="ReduceOnPlateauLR", monitor="acc", rule="greater", factor=0.1, patience=0)
    runner = make_runner(**parts.validation(acc=[2, 1, 1]), train_cfg=dict(max_epochs=3), param_scheduler=scheduler)
    runner.train()
    assert runner.optim_wrapper.optimizer.param_groups[0]["lr"] < 0.1


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        # The first validation that counts sets the best metric; each further one is no better and reduces the rate.
        ({}, [0.1, 0.1, 0.01, 0.001]),
        ({"begin": 2}, [0.1, 0.1, 0.1, 0.01]),
        ({"begin": 1, "end": 3}, [0.1, 0.1, 0.01, 0.01]),
        ({"end": 1}, [0.1, 0.1, 0.1, 0.1]),
    ],
    ids=["always", "from epoch 2 on", "in epochs 1 and 2", "in no epoch"],
)
def test_begin_and_end_of_a_plateau_count_epochs_of_training(make_runner, parts, limits, expected) -> None:
    scheduler = dict(type="ReduceOnPlateauLR", monitor="acc", rule="greater", factor=0.1, patience=0, **limits)
    runner = make_runner(**parts.validation(acc=[1, 1, 1, 1]), train_cfg=dict(max_epochs=4), param_scheduler=scheduler)
    runner.train()
    rates = runner.message_hub.get_scalar("train/lr").data[0]
    assert list(rates[:: len(rates) // 4]) == pytest.approx(expected)


class Halving:
    """A scheduler of a user's own: halves the rate at each metric."""

    by_epoch = True
    need_val_args = True

    def __init__(self, optimizer, **settings):
        self.optimizer = optimizer
        self.metrics: list[float] = []

    def step(self, metrics):
        self.metrics.append(metrics["acc"])
        self.optimizer.param_groups[0]["lr"] /= 2

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


@pytest.mark.parametrize(
    "train_cfg", [dict(max_epochs=2), dict(by_epoch=False, max_iters=8, val_interval=4)], ids=["epochs", "iterations"]
)
def test_a_scheduler_of_a_user_follows_the_metric(make_runner, parts, train_cfg, heard) -> None:
    runner = make_runner(
        **parts.validation(acc=[2, 1, 1]), train_cfg=train_cfg, param_scheduler=dict(type=Halving, by_epoch=True)
    )
    runner.train()
    assert runner.param_schedulers[0].metrics == [2, 1]
    assert runner.optim_wrapper.get_lr()["lr"] == [0.1 / 4]
    assert "counts epochs, and this run counts iterations" not in heard.text
