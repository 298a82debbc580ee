"""An open accumulation window that another number of ranks goes on with."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from eng.runner.state.restore import window_with_ranks
from eng.runner.strategy.base import window_share


def window(gradient: float, weight: Any) -> dict[str, Any]:
    return {"inner_count": 3, "gradients": {"w": torch.tensor([gradient])}, "weight": weight}


def test_sums_of_weighted_losses_and_their_weights_are_shared_out() -> None:
    # Two ranks with the sums 6 and 12 of 2 and 5 tokens: 18 of 7 in all.
    saved = [window(6.0, torch.tensor(2)), window(12.0, torch.tensor(5))]
    for ranks in (1, 3, 4):
        share = window_share(saved, ranks)
        assert float(share["gradients"]["w"]) * ranks == pytest.approx(18)
        assert float(share["weight"]) * ranks == pytest.approx(7)
        assert share["inner_count"] == 3


def test_a_window_of_one_process_counts_once_on_all_ranks() -> None:
    share = window_share(window(18.0, 6.0), 4)
    assert (float(share["gradients"]["w"]), share["weight"]) == (4.5, 1.5)


def test_a_mean_over_ranks_is_shared_out_by_the_number_of_those_ranks() -> None:
    share = window_share({**window(9.0, 3.0), "ranks": 2}, 4)
    assert (float(share["gradients"]["w"]), share["weight"]) == (4.5, 1.5)


def test_gradients_of_means_stay_means() -> None:
    share = window_share([window(6.0, None), window(12.0, None)], 1)
    assert (float(share["gradients"]["w"]), share["weight"]) == (9.0, None)
    assert float(window_share(window(6.0, None), 4)["gradients"]["w"]) == 6


def test_windows_of_several_optimizers_are_shared_out_one_by_one() -> None:
    saved = [{"a": window(6.0, 2.0), "b": window(1.0, None)}, {"a": window(12.0, 4.0), "b": window(3.0, None)}]
    share = window_share(saved, 1)
    assert (float(share["a"]["gradients"]["w"]), share["a"]["weight"]) == (18, 6)
    assert float(share["b"]["gradients"]["w"]) == 2


def test_weights_that_are_integers_are_summed_too() -> None:
    share = window_share([window(4.0, 4), window(8.0, 8)], 1)
    assert (float(share["gradients"]["w"]), share["weight"], share["inner_count"]) == (12, 12, 3)


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_state_of_another_wrapper_class_stays_as_it_is(ranks: int) -> None:
    assert window_share({"micro": 3, "inner_count": 3}, ranks) == {"micro": 3, "inner_count": 3}


def test_a_weighted_window_that_names_no_ranks_counts_for_all_ranks_of_its_run() -> None:
    older, lines = window_with_ranks(window(9.0, 3.0), world_size=2)
    share = window_share(older, 4)
    assert (float(share["gradients"]["w"]), share["weight"]) == (4.5, 1.5)
    assert len(lines) == 1
    assert "loss weight of the first of 2 ranks" in lines[0]


@pytest.mark.parametrize(
    ("saved", "world_size"),
    [
        (window(9.0, 3.0), 1),
        ({**window(9.0, 3.0), "ranks": 2}, 2),
        (window(9.0, None), 2),
        ([window(6.0, 2.0), window(12.0, 4.0)], 2),
        ({"weight": window(9.0, 3.0), "bias": window(9.0, None)}, 2),
        ({"micro": 3}, 2),
        (None, 2),
    ],
    ids=["one process", "named ranks", "means", "each rank", "several wrappers", "another class", "none"],
)
def test_other_windows_are_restored_as_they_are(saved: Any, world_size: int) -> None:
    restored, lines = window_with_ranks(saved, world_size)
    assert restored is saved
    assert lines == []
