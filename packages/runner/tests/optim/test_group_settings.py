"""Which values of parameter groups are settings: those of subclasses and of both parts of a split optimizer too."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from eng.optim import BaseOptimWrapper, build_optim_wrapper
from eng.optim.optimizer.group_settings import group_settings


class ShortNames(torch.optim.SGD):
    def __init__(self, params: Any, rate: float, m: float) -> None:
        super().__init__(params, lr=rate, momentum=m)


class OfTheBase(torch.optim.Optimizer):
    def __init__(self, params: Any, m: float) -> None:
        super().__init__(params, dict(lr=0.1, smoothing=m))

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Moves nothing."""


class Counting(torch.optim.Optimizer):
    """Has its sums in the groups, as the packages schedulefree and prodigyopt do."""

    def __init__(self, params: Any, lr: float = 1.0) -> None:
        super().__init__(params, dict(lr=lr, k=0, weight_sum=0.0))


class CountingWithShortNames(Counting):
    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)


def wrapper_for(optimizer: dict[str, Any]) -> BaseOptimWrapper:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    wrapper = build_optim_wrapper(model, dict(optimizer=optimizer))
    assert isinstance(wrapper, BaseOptimWrapper)
    return wrapper


@pytest.mark.parametrize(
    ("before", "now", "rows"),
    [
        (dict(type=ShortNames, rate=0.5, m=0.9), dict(type=ShortNames, rate=0.5, m=0.1), [("momentum", 0.9, 0.1, 1)]),
        (dict(type=OfTheBase, m=0.9), dict(type=OfTheBase, m=0.1), [("smoothing", 0.9, 0.1, 1)]),
    ],
)
def test_settings_of_a_subclass_with_other_names_differ(before: Any, now: Any, rows: list[Any]) -> None:
    assert wrapper_for(now).differing_settings(wrapper_for(before).state_dict()) == rows


@pytest.mark.parametrize("optimizer", [Counting, CountingWithShortNames])
def test_sums_in_the_groups_are_no_settings(optimizer: Any) -> None:
    assert group_settings(optimizer([nn.Parameter(torch.ones(1))])) == [{"lr": "lr"}]


def test_the_parts_of_a_split_optimizer_differ_by_their_own_names() -> None:
    def wrapper(decay: float, rest: float) -> BaseOptimWrapper:
        split = dict(type="AdamW", lr=3e-4, ndim=2, weight_decay=rest)
        return wrapper_for(dict(type="SGD", lr=0.5, momentum=0.9, weight_decay=decay, split=split))

    assert wrapper(0.7, 0.2).differing_settings(wrapper(0.1, 0.3).state_dict()) == [
        ("weight_decay", 0.1, 0.7, 1),
        ("split.weight_decay", 0.3, 0.2, 1),
    ]
