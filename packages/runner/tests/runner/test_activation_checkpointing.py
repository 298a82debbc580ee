"""Models with activation checkpointing: what copies and files of them compute."""

from __future__ import annotations

import copy
import inspect
import io

import pytest
import torch
from torch import nn

from eng.runner.activation_checkpointing import turn_on_activation_checkpointing


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Linear(3, 1))
    turn_on_activation_checkpointing(net, ["1"])
    return net


def saved_and_loaded(net: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, saved_and_loaded, lambda net: saved_and_loaded(copy.deepcopy(net))])
def test_a_copy_computes_with_its_own_weights(copied) -> None:
    net = network()
    other = copied(net)
    batch = torch.randn(4, 2)
    assert torch.equal(other(batch), net(batch))
    before = net(batch).detach()
    with torch.no_grad():
        for parameter in other[1].parameters():
            parameter.zero_()
    assert torch.equal(net(batch), before)
    assert torch.equal(other(batch), other[2].bias.expand(4, 1))


def test_a_copy_recomputes_its_activations_too() -> None:
    other = copy.deepcopy(network())
    calls = []
    other[1][0].register_forward_hook(lambda *_: calls.append(1))
    other(torch.randn(4, 2)).sum().backward()
    assert len(calls) == 2


def test_turned_on_twice_it_computes_once_more_only() -> None:
    net = network()
    turn_on_activation_checkpointing(net, "1")
    calls = []
    net[1][0].register_forward_hook(lambda *_: calls.append(1))
    net(torch.randn(4, 2)).sum().backward()
    assert len(calls) == 2
    assert list(inspect.signature(net[1].forward).parameters) == ["input"]


def test_a_forward_that_was_set_on_one_module_is_kept() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    net[0].forward = lambda batch: batch + 1
    turn_on_activation_checkpointing(net, "0")
    assert torch.equal(net(torch.zeros(1, 2)), torch.ones(1, 2))
