from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from eng.optim import build_optim_wrapper

CFG = {"optimizer": {"type": "Adam", "lr": 0.1, "weight_decay": 0.01}}


PARAMWISE = dict(CFG, paramwise_cfg={"custom_keys": {"first": {"lr_mult": 0.5}}, "norm_decay_mult": 0.0})


def model(*names):
    layers = {"first": nn.Linear(3, 3), "second": nn.Linear(3, 3), "norm": nn.LayerNorm(3), "extra": nn.Linear(3, 3)}
    return nn.Sequential(OrderedDict((name, layers[name]) for name in names))


def trained(net, cfg, steps=3):
    wrapper = build_optim_wrapper(net, cfg)
    torch.manual_seed(5)
    for _ in range(steps):
        loss = sum((p * torch.randn_like(p)).sum() for _, p in sorted(net.named_parameters()))
        wrapper.update_params(loss)
    return wrapper


def state_by_name(net, wrapper):
    return {name: wrapper.optimizer.state[p] for name, p in net.named_parameters() if p in wrapper.optimizer.state}


def group_by_name(net, wrapper):
    names = {id(p): name for name, p in net.named_parameters()}
    return {
        names[id(p)]: {k: v for k, v in group.items() if k != "params"}
        for group in wrapper.optimizer.param_groups
        for p in group["params"]
    }


def assert_same_state(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        for key, value in values.items():
            assert torch.equal(ours[name][key], value), (name, key)


@pytest.mark.parametrize("cfg", [CFG, PARAMWISE], ids=["one group", "a group each"])
def test_reordered_modules_find_their_state(cfg):
    net = model("first", "second", "norm")
    saved = trained(net, cfg)
    other = model("norm", "second", "first")
    loaded = build_optim_wrapper(other, cfg)
    loaded.load_state_dict(saved.state_dict())
    assert_same_state(state_by_name(other, loaded), state_by_name(net, saved))
    assert group_by_name(other, loaded) == group_by_name(net, saved)


@pytest.mark.parametrize("cfg", [CFG, PARAMWISE], ids=["one group", "a group each"])
def test_a_new_layer_begins_anew_beside_the_old_ones(cfg, heard):
    net = model("first", "second")
    saved = trained(net, cfg)
    other = model("first", "extra", "second")
    loaded = build_optim_wrapper(other, cfg)
    loaded.load_state_dict(saved.state_dict())
    assert_same_state(state_by_name(other, loaded), state_by_name(net, saved))
    assert "nothing for extra.weight, extra.bias; they begin anew" in heard.text
    trained_on = loaded.optimizer.state[other.get_submodule("extra").weight]
    assert trained_on == {}
    loaded.update_params(sum(p.sum() for p in other.parameters()))


def test_a_state_stays_as_it_is_when_it_is_loaded():
    saved = trained(model("first"), PARAMWISE).state_dict()
    keys = (set(saved), [set(group) for group in saved["param_groups"]])
    wrapper = build_optim_wrapper(model("first"), PARAMWISE)
    wrapper.load_state_dict(saved)
    wrapper.load_state_dict(saved)
    assert (set(saved), [set(group) for group in saved["param_groups"]]) == keys
    assert "base_param_settings" in saved


def test_groups_that_became_one_take_the_values_of_the_first(heard):
    saved = trained(model("first", "second"), PARAMWISE).state_dict()
    loaded = build_optim_wrapper(model("first", "second"), CFG)
    loaded.load_state_dict(saved)
    assert loaded.optimizer.param_groups[0]["lr"] == 0.05
    assert "saved with different values" in heard.text
