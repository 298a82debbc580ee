"""A step through an OptimWrapper does all that the optimizer's own does; marks for a profiler only where one runs."""

from __future__ import annotations

import types

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from eng.optim import OptimWrapper


class Halving(torch.optim.Optimizer):
    """An optimizer of somebody's own."""

    def __init__(self, params):
        super().__init__(params, {})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for weight in group["params"]:
                weight -= weight.grad / 2


def made(optimizer=torch.optim.SGD, **options):
    weight = nn.Parameter(torch.ones(3))
    return OptimWrapper(optimizer([weight], **options)), weight


def update(wrapper, weight):
    wrapper.update_params(weight.sum())


@pytest.mark.parametrize(("kind", "options"), [(torch.optim.SGD, {"lr": 0.5}), (Halving, {})])
def test_no_mark_is_made_where_no_profiler_runs(kind, options, monkeypatch):
    wrapper, weight = made(kind, **options)
    monkeypatch.setattr(torch.autograd.profiler, "record_function", None)
    update(wrapper, weight)
    assert weight.tolist() == [0.5] * 3 and weight.grad is None and torch.is_grad_enabled()


def by_profile(act):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        act()
    return {event.name for event in found.events()}


def by_the_profiler_below(act):
    """As a program does that starts the profiler without torch's classes for it."""
    profiler = torch.autograd
    config = profiler.ProfilerConfig(
        profiler.ProfilerState.CPU, False, False, False, False, False, torch._C._profiler._ExperimentalConfig()
    )
    profiler._enable_profiler_legacy(config)
    act()
    return {event.name() for events in profiler._disable_profiler_legacy() for event in events}


@pytest.mark.parametrize("found_by", [by_profile, by_the_profiler_below])
def test_a_profiler_sees_the_marks_of_torch(found_by):
    wrapper, weight = made(lr=0.5)
    names = found_by(lambda: update(wrapper, weight))
    assert {"Optimizer.step#SGD.step", "Optimizer.zero_grad#SGD.zero_grad"} <= names
    assert weight.tolist() == [0.5] * 3


@pytest.mark.parametrize(
    "register",
    [
        torch.optim.Optimizer.register_step_pre_hook,
        torch.optim.Optimizer.register_step_post_hook,
        lambda _, hook: register_optimizer_step_pre_hook(hook),
        lambda _, hook: register_optimizer_step_post_hook(hook),
    ],
    ids=["pre", "post", "global-pre", "global-post"],
)
def test_hooks_are_called_from_when_they_are_registered_until_they_are_removed(register):
    wrapper, weight = made(lr=0.5)
    called = []
    update(wrapper, weight)
    handle = register(wrapper.optimizer, lambda *_: called.append(1))
    update(wrapper, weight)
    handle.remove()
    update(wrapper, weight)
    assert called == [1]
    assert weight.tolist() == [-0.5] * 3


def test_a_step_that_was_put_in_place_of_the_own_is_taken(monkeypatch):
    wrapper, weight = made(lr=0.5)
    original, called = wrapper.optimizer.step, []

    def on_the_object(self, *args, **kwargs):
        called.append("object")
        return original(*args, **kwargs)

    wrapper.optimizer.step = types.MethodType(on_the_object, wrapper.optimizer)  # as torch's schedulers do
    update(wrapper, weight)
    del wrapper.optimizer.step
    of_class = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: (called.append("class"), of_class(self)))
    update(wrapper, weight)
    assert called == ["object", "class"]
    assert weight.tolist() == [0.0] * 3


def test_what_is_no_optimizer_of_torch_steps_as_it_likes():
    class Foreign:
        __slots__ = ("param_groups", "steps")

        def __init__(self):
            self.param_groups, self.steps = [{"params": []}], 0

        def step(self):
            self.steps += 1

        def zero_grad(self):
            self.steps += 10

    wrapper = OptimWrapper(Foreign())
    wrapper.update_params(torch.ones((), requires_grad=True))
    assert wrapper.optimizer.steps == 11


def test_what_passes_everything_on_to_an_optimizer_steps_it():
    class Proxy:
        def __init__(self, optimizer):
            self._optimizer = optimizer

        def __getattr__(self, name):
            return getattr(self._optimizer, name)

    plain, weight = made(lr=0.5)
    update(OptimWrapper(Proxy(plain.optimizer)), weight)
    assert weight.tolist() == [0.5] * 3


def test_a_zero_grad_of_somebodys_own_for_all_optimizers_is_called(monkeypatch):
    wrapper, weight = made(lr=0.5)
    asked = []
    monkeypatch.setattr(torch.optim.Optimizer, "zero_grad", lambda self: asked.append(self))
    update(wrapper, weight)
    assert asked == [wrapper.optimizer]


def test_a_closure_reaches_the_step():
    wrapper, weight = made(torch.optim.LBFGS, lr=0.1, max_iter=1)

    def closure():
        weight.grad = None
        loss = weight.square().sum()
        loss.backward()
        return loss

    wrapper.update_params(weight.square().sum(), step_kwargs={"closure": closure})
    assert torch.allclose(weight, torch.full((3,), 1 - 0.1 / 3), atol=1e-6)
