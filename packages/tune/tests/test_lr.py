from __future__ import annotations

import math
from pathlib import Path

import pytest
from tune_parts import runner

from eng.tune import TuneError, find_lr
from eng.tune._lr import choose, search


@pytest.mark.timeout(170)
@pytest.mark.parametrize("index", [0, 1, 3, 6, 8])
def test_rate_is_within_a_factor_of_3_of_the_best_of_a_grid(index: int, tmp_path: Path) -> None:
    from lr_tasks import ALL_TASKS, Task

    if index >= 5:
        pytest.importorskip("sklearn")
    task = Task(list(ALL_TASKS)[index])
    best, _ = task.best_of_grid()
    found = find_lr(task.runner(str(tmp_path)))
    assert best / 3 <= found.suggestion <= best * 3, (best, found.trials)


def test_groups_keep_their_ratios_and_picture_is_drawn(tmp_path: Path) -> None:
    run = runner(tmp_path)
    found = find_lr(run, num_iters=12, trial_iters=3, num_trials=2)
    assert found.current == 0.01
    assert found.suggestions == {"": found.suggestion}
    pytest.importorskip("matplotlib")
    found.draw(tmp_path / "lr.png")
    assert (tmp_path / "lr.png").read_bytes().startswith(b"\x89PNG")


def test_search_of_rates_finds_the_minimum_of_a_curve() -> None:
    def loss(rate: float) -> float:
        return math.inf if rate > 0.5 else (math.log10(rate) + 2) ** 2  # best at 0.01

    for start in (1e-4, 0.01, 0.4):
        trials = search(loss, start, 1e-6, 10, 20, 9.0)
        assert 0.01 / 3**0.5 <= choose(trials, 9.0) <= 0.01 * 3**0.5
        assert len(trials) <= 11


@pytest.mark.parametrize("start", [3e-6, 0.05, 5.0])
def test_search_leaves_rates_that_learn_nothing(start: float) -> None:
    """As with a classifier of ten classes: rates far too high stay at the loss of a guess, as rates far too low do."""

    def loss(rate: float) -> float:
        if rate > 0.03:
            return 2.30 + 0.01 * math.sin(100 * rate)
        return 2.30 - 2 * math.exp(-((math.log10(rate) + 2.5) ** 2))  # best at 10 ** -2.5

    trials = search(loss, start, 1e-6, 10, 12, 2.30)
    assert 10**-3 < choose(trials, 2.30) < 10**-2, trials


def test_search_refines_at_the_lowest_loss_where_no_rate_learns_enough() -> None:
    def loss(rate: float) -> float:  # at best 4 % below the first loss
        return 1 - 0.04 * math.exp(-((math.log10(rate) + 2) ** 2))  # best at 0.01

    trials = search(loss, 0.01, 1e-6, 10, 12, 1.0)
    assert {0.01 / 3**0.5, 0.01 * 3**0.5} <= {rate for rate, _ in trials}
    assert len(trials) == 14  # 12 that are a factor of 3 apart, and the last two


def test_one_lucky_training_does_not_win() -> None:
    rates = [10 ** (-4 + 0.5 * number) for number in range(6)]
    losses = [1.5, 0.62, 0.5, 0.6, 1.4, 0.45]  # the last has a neighbour that is worse
    assert 1e-3 / 3 < choose(list(zip(rates, losses, strict=True)), 2.0) < 3e-3


def test_losses_below_zero_are_compared_as_they_are() -> None:
    rates = [1e-3, 1e-2, 1e-1]
    assert choose(list(zip(rates, [-5.0, -9.0, math.inf], strict=True)), 3.0) < 1e-2
    assert choose([(0.5, 1.0)], 2.0) == pytest.approx(0.5)


def test_training_that_always_diverges_is_named() -> None:
    with pytest.raises(TuneError, match="the loss diverged in every short training"):
        choose([(0.1, math.inf), (0.2, math.nan)], 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 1.0, "high": 0.1}, "the range of learning rates is empty: low=1 must be above 0 and below high=0.1"),
        ({"low": 0.0}, "the range of learning rates is empty"),
        ({"num_iters": 2}, "a range test takes at least 10 steps"),
    ],
)
def test_range_that_is_empty_is_refused(arguments: dict[str, float], message: str, tmp_path: Path) -> None:
    with pytest.raises(TuneError, match=message):
        find_lr(runner(tmp_path), **arguments)


def test_loss_that_is_never_finite_is_named(tmp_path: Path) -> None:
    run = runner(tmp_path)
    run.model.layers[0].weight.data.fill_(math.nan)
    with pytest.raises(TuneError, match="the loss is not finite at a learning rate of 1e-06"):
        find_lr(run)
