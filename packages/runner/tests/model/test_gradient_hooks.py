"""Gradients that two ranks exchange in fewer bits."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from model_wrappers_parts import ranks

from eng.model.errors import WrapperOptionError
from eng.model.wrappers._gradient_hooks import register_gradient_hook


def mean_gradient() -> torch.Tensor:
    """What two ranks should have in their third step, computed in one process."""
    gradients = []
    for rank in range(2):
        torch.manual_seed(0)
        layer = torch.nn.Linear(16, 16, bias=False)
        torch.manual_seed(200 + rank)
        layer(torch.randn(4, 16)).square().sum().backward()
        gradients.append(layer.weight.grad)
    return sum(gradients) / 2


@pytest.mark.timeout(100)
def test_gradients_are_rounded_or_of_low_rank_and_the_same_on_all_ranks(tmp_path) -> None:
    first, second = ranks("hooks", 2, tmp_path)
    assert first == second
    expected = mean_gradient()
    exchanged = {name: torch.tensor(values) for name, values in first.items()}
    torch.testing.assert_close(exchanged["plain"], expected)
    rounded = exchanged["bf16"]
    assert torch.equal(rounded, rounded.bfloat16().float()) and not torch.equal(rounded, exchanged["plain"])
    assert ((rounded - expected).norm() / expected.norm()) < 1 / 64
    assert torch.linalg.matrix_rank(expected, rtol=1e-3) == 8  # four samples of each rank
    assert torch.linalg.matrix_rank(exchanged["powersgd"], rtol=1e-3) == 2
    assert torch.linalg.matrix_rank(exchanged["powersgd in bf16"], rtol=0.02) == 1
    cosine = torch.nn.functional.cosine_similarity(exchanged["powersgd"].flatten(), expected.flatten(), dim=0)
    assert cosine > 0.5


class Wrapper:
    process_group = None

    def register_comm_hook(self, state, hook) -> None:
        raise AssertionError("must not be called")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("bf61", r"gradient_hook: expected one of bf16, fp16, powersgd, batched_powersgd, got 'bf61'; did you mean 'bf16'"),
        (dict(type="bf16", rank=1), r"'bf16' takes no options, got \['rank'\]"),
        (dict(type="bf16", compress="fp16"), "compress is 'bf16' or 'fp16', beside powersgd, got 'fp16' beside 'bf16'"),
        (dict(type="powersgd", rank=1), "'powersgd': .*unexpected keyword argument 'rank'"),
    ],
)  # fmt: skip
def test_unknown_hooks_and_options_are_refused(setting, message) -> None:
    with pytest.raises(WrapperOptionError, match=message):
        register_gradient_hook(Wrapper(), setting)


@pytest.mark.parametrize("setting", ["bf16", "fp16", "powersgd", dict(type="batched_powersgd", compress="fp16")])
def test_gradients_are_exchanged_in_the_wrappers_process_group(setting) -> None:
    states, group = [], object()
    wrapper = SimpleNamespace(process_group=group, register_comm_hook=lambda state, hook: states.append(state))
    register_gradient_hook(wrapper, setting)
    assert [getattr(state, "process_group", state) for state in states] == [group]
