from __future__ import annotations

import copy
import pickle

import pytest
import torch
from model_parts import Net
from torch import nn

from eng.model import BaseAveragedModel, ExponentialMovingAverage, MomentumAnnealingEMA, StochasticWeightAverage


def walk(make, steps=12, **kwargs):
    """An average, and the weights, floats of buffers and counters that its model had at each update."""
    torch.manual_seed(0)
    model = Net()
    average = make(model, **kwargs)
    history = []
    for step in range(steps):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn_like(parameter))
            model.bn.running_mean.normal_()
            model.bn.num_batches_tracked.fill_(step)
        history.append((model.conv.weight.detach().clone().double(), model.bn.running_mean.clone().double()))
        average.update_parameters(model)
    return average, history


def close(found, expected):
    return torch.allclose(found.double(), expected, atol=1e-6)


@pytest.mark.parametrize("interval", [1, 3])
@pytest.mark.parametrize("buffers", [False, True])
def test_swa_is_the_mean(interval, buffers):
    average, history = walk(StochasticWeightAverage, interval=interval, update_buffers=buffers)
    chosen = history[::interval]
    assert close(average.module.conv.weight, sum(w for w, _ in chosen) / len(chosen))
    expected = sum(m for _, m in chosen) / len(chosen) if buffers else history[-1][1]
    assert close(average.module.bn.running_mean, expected)
    assert average.module.bn.num_batches_tracked == 11 and average.steps == 12


@pytest.mark.parametrize("interval", [1, 4])
@pytest.mark.parametrize(
    ("make", "share"),
    [
        (lambda m, **k: ExponentialMovingAverage(m, momentum=0.1, **k), lambda step: 0.1),
        (lambda m, **k: MomentumAnnealingEMA(m, momentum=0.1, gamma=3, **k), lambda step: max(0.1, 3 / (3 + step))),
    ],
    ids=["ema", "annealing"],
)
@pytest.mark.parametrize("buffers", [False, True])
def test_ema_by_the_closed_form(make, share, interval, buffers):
    average, history = walk(make, interval=interval, update_buffers=buffers)
    weight, mean = history[0]
    for step in range(interval, 12, interval):
        weight = weight + share(step) * (history[step][0] - weight)
        mean = mean + share(step) * (history[step][1] - mean)
    assert close(average.module.conv.weight, weight)
    assert close(average.module.bn.running_mean, mean if buffers else history[-1][1])


def test_average_starts_as_a_copy_without_gradients():
    model = Net()
    average = ExponentialMovingAverage(model)
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert (
        torch.equal(average.module.conv.weight, model.conv.weight)
        and average.module.conv.weight is not model.conv.weight
    )
    x = torch.rand(2, 1, 3, 3)
    assert torch.equal(average.eval()(x), model.eval()(x))


def test_state_dict_has_the_reference_keys_and_resumes():
    average, _ = walk(MomentumAnnealingEMA, gamma=3)
    assert list(average.state_dict()) == ["steps", *(f"module.{name}" for name in Net().state_dict())]
    other = MomentumAnnealingEMA(Net(), gamma=3)
    other.load_state_dict(average.state_dict())
    torch.manual_seed(5)
    model = Net()
    for item in (average, other):
        item.update_parameters(model)
    assert torch.equal(other.module.conv.weight, average.module.conv.weight) and other.steps == 13


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))], ids=["deepcopy", "pickle"]
)
def test_copies_go_on_by_themselves(duplicate):
    average, _ = walk(ExponentialMovingAverage, momentum=0.5)
    other = duplicate(average)
    model = Net()
    before = average.module.conv.weight.clone()
    other.update_parameters(model)
    assert close(other.module.conv.weight, (before + (model.conv.weight.detach() - before) * 0.5).double())
    assert torch.equal(average.module.conv.weight, before)


def test_steps_written_from_outside_count():
    model = Net()
    average = StochasticWeightAverage(model)
    average.update_parameters(model)
    average.steps.fill_(0)
    with torch.no_grad():
        model.conv.weight.fill_(3.0)
    average.update_parameters(model)
    assert (average.module.conv.weight == 3).all()


def test_replaced_buffers_and_parameters_are_followed():
    model = Net()
    average = ExponentialMovingAverage(model, momentum=0.25)
    average.update_parameters(model)
    model.bn.running_mean = torch.full((2,), 5.0)
    model.conv.weight = model.tied = nn.Parameter(torch.full((2, 1, 1, 1), 4.0))
    before = average.module.conv.weight.clone()
    average.update_parameters(model)
    assert (average.module.bn.running_mean == 5).all()
    assert torch.allclose(average.module.conv.weight, before * 0.75 + 1.0)


def test_a_models_type_may_differ():
    model = nn.Linear(2, 2)
    average = ExponentialMovingAverage(model, momentum=0.5)
    average.update_parameters(model)
    before = average.module.weight.clone()
    model.to(torch.bfloat16)
    average.update_parameters(model)
    assert average.module.weight.dtype == torch.float32
    assert torch.allclose(average.module.weight, before * 0.5 + 0.5 * model.weight.float())


def test_a_rule_of_a_librarys_own_is_used():
    class Maximum(ExponentialMovingAverage):
        def avg_func(self, averaged_param, source_param, steps):
            averaged_param.copy_(torch.maximum(averaged_param, source_param))

    average, history = walk(Maximum)
    assert close(average.module.conv.weight, torch.stack([w for w, _ in history]).max(0).values)

    class Half(BaseAveragedModel):
        def avg_func(self, averaged_param, source_param, steps):
            averaged_param.add_(source_param).mul_(0.5)

    assert walk(Half)[0].steps == 12


def test_a_momentum_that_looks_like_a_decay_is_told(caplog):
    ExponentialMovingAverage(Net(), momentum=0.999)
    assert "did you mean" in caplog.text
