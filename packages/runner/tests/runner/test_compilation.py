"""Regions of a model that are compiled, and how often."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch._dynamo
from torch import nn

from eng.hooks._recompiles import Recompiles
from eng.runner.assemble.compilation import compile_model
from eng.runner.errors import SettingsError


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fit = nn.Linear(8, 8)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch + torch.tanh(self.fit(batch))


class Stack(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Linear(4, 8)
        self.layers = nn.ModuleList([Block() for _ in range(depth)])

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        hidden = self.stem(batch)
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden.sum()


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    config = torch._dynamo.config
    before = config.recompile_limit, config.fail_on_recompile_limit_hit
    yield
    config.recompile_limit, config.fail_on_recompile_limit_hit = before
    torch._dynamo.reset()


class Graphs(list):
    """A backend that runs what it gets, and keeps it."""

    def __call__(self, graph, inputs):
        self.append(graph)
        return graph.forward


def gradients(model: nn.Module) -> list[torch.Tensor]:
    torch.manual_seed(1)
    model(torch.randn(3, 4)).backward()
    return [parameter.grad for parameter in model.parameters()]


def test_layers_of_a_class_are_compiled_once_and_nothing_else_is() -> None:
    model, graphs = Stack(depth=12), Graphs()
    compile_model(model, dict(regions=["layers.*"], backend=graphs))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(gradients(model), gradients(Stack(12)), strict=True))
    assert len(graphs) == 1
    assert [node.target for node in graphs[0].graph.nodes if node.op == "call_function"][1] is torch.tanh
    assert list(model.state_dict()) == list(Stack(12).state_dict())


def test_modules_of_torch_are_compiled_too() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), *[nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(12)])
    batch, graphs = torch.randn(3, 4), Graphs()
    plain = model(batch)
    compile_model(model, dict(regions=[f"{index}" for index in range(1, 13)], backend=graphs))
    assert torch.equal(model(batch), plain) and len(graphs) == 1


def test_a_region_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"regions=...\) names 'layer', which Stack lacks; did you mean 'layers"):
        compile_model(Stack(1), dict(regions=["layer"]))
    with pytest.raises(SettingsError, match="regions or target, got regions=\\['stem'\\] and target='train_step'"):
        compile_model(Stack(1), dict(regions=["stem"], target="train_step"))


def call_with_sizes(model: nn.Module) -> None:
    for size in range(2, 8):
        model(torch.ones(size, 4))


def test_the_report_names_a_function_that_reached_the_limit() -> None:
    model, graphs, seen = Stack(depth=1), Graphs(), Recompiles()
    seen.begin()
    compile_model(model, dict(regions=["layers"], backend=graphs, dynamic=False, recompile_limit=2))
    call_with_sizes(model)
    assert len(graphs) == 2
    again, limit = seen.news().splitlines()
    assert again.startswith(f"torch.compile compiled again 1 time: forward ({__file__}:")
    assert (
        limit.startswith(f"torch.compile compiles forward ({__file__}:")
        and "as often as recompile_limit allows" in limit
    )
    assert "size mismatch" in limit
    call_with_sizes(model)
    assert seen.news() == ""


def test_the_limit_can_end_the_run() -> None:
    model = Stack(depth=1)
    options = dict(backend="eager", dynamic=False, recompile_limit=2, on_recompile_limit="raise")
    compile_model(model, options)
    with pytest.raises(Exception, match="fail_on_recompile_limit_hit"):
        call_with_sizes(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(recompile_limit=0), "recompile_limit must be a number above 0, got 0"),
        (dict(on_recompile_limit="stop"), "on_recompile_limit must be 'warn' or 'raise', got 'stop'"),
    ],
)
def test_limits_that_say_nothing_are_refused(options, message) -> None:
    with pytest.raises(SettingsError, match=message):
        compile_model(Stack(1), options)
