"""Optimizers built from a config are torch's own in every respect but one: they do not load its compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAD = """
import sys
import torch
from torch import nn
from eng.optim import build_optim_wrapper
from eng.optim.optimizer.builder import TORCH_OPTIMIZERS

def trained(optimizer, model, steps=3):
    for step in range(steps):
        optimizer.zero_grad()
        loss = model(torch.full((2, 3), float(step + 1))).square().sum()
        loss.backward()
        optimizer.step(lambda: loss)
    return [value.detach().clone() for value in model.parameters()]

def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 1, bias=False))

def built(name, model, **options):
    return build_optim_wrapper(model, dict(optimizer=dict(type=name, **options))).optimizer

def loaded():
    return "torch._dynamo" in sys.modules
"""


def passes(body: str) -> None:
    done = subprocess.run([sys.executable, "-c", HEAD + body], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_optimizer_gives_the_numbers_of_torch_without_its_compiler() -> None:
    passes(
        """
names = [name for name in TORCH_OPTIMIZERS if name != "SparseAdam"]
ours = {}
for name in names:
    model = network()
    optimizer = built(name, model, lr=0.01)
    weights = trained(optimizer, model)
    again = built(name, model, lr=0.01)
    again.load_state_dict(optimizer.state_dict())
    again.add_param_group(dict(params=[nn.Parameter(torch.zeros(2, 2))])) if name != "LBFGS" else None
    ours[name] = weights
assert not loaded()
assert {"SGD", "AdamW", "LBFGS"} < set(names)
import torch._dynamo
for name in names:
    model = network()
    kind = getattr(torch.optim, name.removeprefix("Torch"))
    assert all(torch.equal(a, b) for a, b in zip(trained(kind(model.parameters(), lr=0.01), model), ours[name])), name
"""
    )


def test_hooks_differentiable_steps_and_no_grad_are_kept() -> None:
    passes(
        """
model, called = network(), []
optimizer = built("SGD", model, lr=0.1)
optimizer.register_step_pre_hook(lambda *_: called.append(torch.is_grad_enabled()))
optimizer.register_step_post_hook(lambda *_: called.append(torch.is_grad_enabled()))
def closure():
    called.append(torch.is_grad_enabled())
    return model(torch.ones(2, 3)).sum()
optimizer.step(closure)
assert called == [True, True, True] and not loaded()
weight = torch.ones(1, requires_grad=True)
moved = (weight * 2).clone()
optimizer = built("SGD", nn.Linear(1, 1), lr=0.1, differentiable=True)
optimizer.param_groups[0]["params"] = [moved]
moved.grad = weight * 3
optimizer.step()
moved.sum().backward()
assert abs(weight.grad.item() - (2 - 0.3)) < 1e-6 and not loaded()
try:
    built("SGD", network(), lr=0.1).step(lambda: 1 / 0)
except ZeroDivisionError:
    assert torch.is_grad_enabled()
"""
    )


@pytest.mark.parametrize("steps_before", [0, 2])
def test_compiled_steps_are_those_of_torch(steps_before: int) -> None:
    passes(
        f"""
def compiled(optimizer, model):
    trained(optimizer, model, {steps_before})
    step = torch.compile(optimizer.step, backend="eager")
    def once():
        optimizer.zero_grad()
        model(torch.ones(2, 3)).square().sum().backward()
        step()
    once(), torch.compile(once, backend="eager")()
    return [value.detach().clone() for value in model.parameters()], optimizer.state_dict()["state"]
ours = network()
optimizer = built("Adam", ours, lr=0.01)
assert not loaded()
weights, state = compiled(optimizer, ours)
assert loaded()
plain = network()
expected, expected_state = compiled(torch.optim.Adam(plain.parameters(), lr=0.01), plain)
assert all(torch.equal(a, b) for a, b in zip(weights, expected))
assert all(torch.equal(state[i][key], expected_state[i][key]) for i in state for key in state[i])
"""
    )
