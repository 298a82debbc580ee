from __future__ import annotations

import pytest
import torch
from optim_parts import CFG, PARAMWISE, group_by_name, model, trained

from eng.optim import build_optim_wrapper


def state_by_name(net, wrapper):
    return {name: wrapper.optimizer.state[p] for name, p in net.named_parameters() if p in wrapper.optimizer.state}


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
