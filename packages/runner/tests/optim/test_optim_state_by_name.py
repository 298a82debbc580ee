"""The optimizer's state by parameter name: reordered modules, new layers, old checkpoints."""

from __future__ import annotations

import copy

import pytest
import torch
from optim_parts import CFG, PARAMWISE, group_by_name, model, trained
from torch import nn

from eng.optim import ExponentialLR, OptimWrapper, build_optim_wrapper


@pytest.mark.parametrize("cfg", [CFG, PARAMWISE], ids=["one group", "a group each"])
def test_each_group_carries_the_names(cfg):
    net = model("first", "norm")
    groups = build_optim_wrapper(net, cfg).state_dict()["param_groups"]
    assert [name for group in groups for name in group["param_names"]] == [n for n, _ in net.named_parameters()]


def test_the_next_step_after_reordering_is_the_same():
    def step(net, wrapper):
        torch.manual_seed(9)
        wrapper.update_params(sum((p * torch.randn_like(p)).sum() for _, p in sorted(net.named_parameters())))
        return {name: p.detach().clone() for name, p in net.named_parameters()}

    net = model("first", "second")
    saved = trained(net, PARAMWISE)
    other = model("second", "first")
    other.load_state_dict(net.state_dict())
    loaded = build_optim_wrapper(other, PARAMWISE)
    loaded.load_state_dict(copy.deepcopy(saved.state_dict()))
    ours, theirs = step(other, loaded), step(net, saved)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_new_group_stands_where_the_schedule_stands():
    net = model("first", "second")
    saved = build_optim_wrapper(net, PARAMWISE)
    schedule = ExponentialLR(saved, gamma=0.5)
    for _ in range(3):
        schedule.step()
    other = model("first", "extra", "second")
    loaded = build_optim_wrapper(other, PARAMWISE)
    ExponentialLR(loaded, gamma=0.5)
    loaded.load_state_dict(saved.state_dict())
    rates = {name: group["lr"] for name, group in group_by_name(other, loaded).items()}
    assert rates["extra.weight"] == pytest.approx(0.1 / 8)
    assert rates["first.weight"] == pytest.approx(0.05 / 8)


def test_a_layer_that_is_gone_is_told(heard):
    saved = trained(model("first", "second"), CFG)
    build_optim_wrapper(model("first"), CFG).load_state_dict(saved.state_dict())
    assert "state of second.bias, second.weight is not used" in heard.text


def test_a_state_of_another_model_is_refused():
    saved = trained(model("first"), CFG).state_dict()
    with pytest.raises(ValueError, match=r"none of its names is in this model.*first\.bias.*second\.weight"):
        build_optim_wrapper(model("second"), CFG).load_state_dict(saved)


def test_a_shared_parameter_has_one_name_in_any_order():
    class Tied(nn.Module):
        def __init__(self, order):
            super().__init__()
            weight = nn.Parameter(torch.ones(2, 2))
            for name in order:
                layer = nn.Linear(2, 2, bias=False)
                layer.weight = weight
                self.add_module(name, layer)

    saved = trained(Tied(["embed", "head"]), CFG).state_dict()
    assert saved["param_groups"][0]["param_names"] == ["embed.weight"]
    wrapper = build_optim_wrapper(Tied(["head", "embed"]), CFG)
    wrapper.load_state_dict(saved)
    assert len(wrapper.optimizer.state) == 1


def test_names_do_not_depend_on_wrappers_around_the_model():
    net = model("first")
    wrapper = OptimWrapper(torch.optim.SGD(net.parameters(), lr=0.1))
    wrapper.name_parameters(nn.DataParallel(net))
    assert wrapper.state_dict()["param_groups"][0]["param_names"] == ["first.weight", "first.bias"]
    compiled = OptimWrapper(torch.optim.SGD(net.parameters(), lr=0.1))
    compiled.name_parameters(torch.compile(net))
    assert compiled.state_dict()["param_groups"][0]["param_names"] == ["first.weight", "first.bias"]


def test_old_checkpoints_without_names_load_by_order():
    net = model("first", "second")
    saved = trained(net, CFG).optimizer.state_dict()
    assert "param_names" not in saved["param_groups"][0]
    other = model("first", "second")
    loaded = build_optim_wrapper(other, CFG)
    loaded.load_state_dict(saved)
    assert len(loaded.optimizer.state) == 4
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        build_optim_wrapper(model("first"), CFG).load_state_dict(saved)


def test_our_state_loads_into_a_bare_optimizer():
    net = model("first", "second")
    wrapper = trained(net, CFG)
    other = model("first", "second")
    bare = torch.optim.Adam(other.parameters())
    bare.load_state_dict(wrapper.state_dict())
    assert bare.param_groups[0]["lr"] == 0.1
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(bare.state[theirs]["exp_avg"], wrapper.optimizer.state[ours]["exp_avg"])


def test_a_group_can_still_be_added_after_loading():
    net = model("first")
    wrapper = trained(net, CFG)
    wrapper.load_state_dict(wrapper.state_dict())
    wrapper.optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    assert "param_names" not in wrapper.state_dict()["param_groups"][0]  # one is unknown, so order decides again


def test_names_that_the_optimizer_was_given_are_kept():
    net = model("first")
    wrapper = OptimWrapper(torch.optim.SGD(net.named_parameters(), lr=0.1))
    assert wrapper.state_dict()["param_groups"][0]["param_names"] == ["first.weight", "first.bias"]
    wrapper.load_state_dict(wrapper.state_dict())
    assert wrapper.optimizer.param_groups[0]["param_names"] == ["first.weight", "first.bias"]
