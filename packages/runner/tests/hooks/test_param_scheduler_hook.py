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
