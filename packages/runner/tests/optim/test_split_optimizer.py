"""Muon with AdamW for the rest, and layer-wise decay, equal optimizers that are set up by hand."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from split_optimizer_parts import Net
from torch import nn
from torch.nn import functional

from eng.optim import OptimError, OptimTypeError, SplitOptimizer, build_optim_wrapper

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim has Muon from 2.9 on")


SPLIT = dict(type="AdamW", lr=3e-3, modules=["embed", "head"])


def loss_of(model, step):
    generator = torch.Generator().manual_seed(step)
    x, y = torch.randint(0, 5, (8,), generator=generator), torch.randint(0, 3, (8,), generator=generator)
    return functional.cross_entropy(model(x), y)


def wrapper_for(model, **kwargs):
    return build_optim_wrapper(model, dict(optimizer=dict(type="Muon", lr=0.02, split=dict(SPLIT)), **kwargs))


def test_equals_two_optimizers_by_hand() -> None:
    torch.manual_seed(0)
    ours = Net()
    theirs = copy.deepcopy(ours)
    matrices = [layer.weight for layer in theirs.layers]
    rest = [p for name, p in theirs.named_parameters() if not (name.startswith("layers") and p.ndim == 2)]
    optimizers = [torch.optim.Muon(matrices, lr=0.02), torch.optim.AdamW(rest, lr=3e-3)]
    wrapper = wrapper_for(ours)
    for step in range(6):
        wrapper.update_params(loss_of(ours, step))
        loss_of(theirs, step).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    for (name, left), right in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-6, msg=name)
    assert [len(group["params"]) for group in wrapper.optimizer.param_groups] == [3, len(rest)]


def test_a_loaded_state_goes_on_with_the_same_bits() -> None:
    torch.manual_seed(0)
    first = Net()
    wrapper = wrapper_for(first)
    for step in range(3):
        wrapper.update_params(loss_of(first, step))
    second = Net()
    second.load_state_dict(first.state_dict())
    resumed = wrapper_for(second)
    resumed.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    for step in range(3, 6):
        wrapper.update_params(loss_of(first, step))
        resumed.update_params(loss_of(second, step))
    for (name, left), right in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(left, right), name


def test_rules_of_paramwise_cfg_multiply_each_rate() -> None:
    model = Net()
    wrapper = wrapper_for(
        model, paramwise_cfg=dict(custom_keys={"head": dict(lr_mult=10), "layers.0": dict(lr_mult=0.5)})
    )
    names = {id(p): name for name, p in model.named_parameters()}
    rates = {names[id(group["params"][0])]: group["lr"] for group in wrapper.optimizer.param_groups}
    assert rates["head.weight"] == pytest.approx(3e-2)
    assert rates["layers.0.weight"] == pytest.approx(1e-2)
    assert rates["layers.1.weight"] == pytest.approx(2e-2)
    assert rates["embed.weight"] == pytest.approx(3e-3)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("AdamW", r"optimizer.split is the config of the optimizer for the rest.*got 'AdamW'"),
        (dict(lr=1.0), "optimizer.split is the config"),
        (dict(type="AdamW", modules="head"), "split.modules is a list of names of modules, got 'head'"),
    ],
    ids=["text", "no type", "modules"],
)
def test_a_split_that_cannot_be_read(split, message) -> None:
    with pytest.raises(OptimTypeError, match=message):
        build_optim_wrapper(Net(), dict(optimizer=dict(type="Muon", lr=0.02, split=split)))


def test_a_parameter_of_two_optimizers() -> None:
    layer = nn.Linear(1, 1)
    with pytest.raises(OptimError, match="have a parameter in common"):
        SplitOptimizer([torch.optim.SGD(layer.parameters(), lr=1), torch.optim.SGD([layer.bias], lr=1)])


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["deepcopy", "pickle"]
)
def test_a_copy_steps_as_the_optimizer_does(copied) -> None:
    torch.manual_seed(0)
    model = Net()
    optimizer = wrapper_for(model).optimizer
    loss_of(model, 0).backward()
    optimizer.step()
    other_model, other = copied((model, optimizer))
    assert [
        part.param_groups[0] is group for part, group in zip(other.optimizers, other.param_groups, strict=True)
    ] == [True, True]
    for net, part in ((model, optimizer), (other_model, other)):
        net.zero_grad()
        loss_of(net, 1).backward()
        part.step()
    for left, right in zip(model.parameters(), other_model.parameters(), strict=True):
        assert torch.equal(left, right)
    assert other.group_labels() == ["Muon", "AdamW"]
