from __future__ import annotations

from collections import OrderedDict
from functools import partial

import pytest
import torch
from checkpoint_parts import Net, same
from torch import nn

from eng.checkpoint import get_state_dict, load_state_dict, weights_to_cpu


class TestModules:
    def test_pre_hooks_may_reshape_entries(self):
        model = nn.Linear(2, 4)

        def double(state, prefix, *args):
            state[prefix + "weight"] = state[prefix + "weight"].repeat(2, 1)
            state[prefix + "bias"] = state[prefix + "bias"].repeat(2)

        model._register_load_state_dict_pre_hook(double)
        report = load_state_dict(model, nn.Linear(2, 2).state_dict())
        assert report.fits

    def test_post_hooks_may_forgive(self):
        model = nn.Linear(2, 2)
        model.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
        assert load_state_dict(model, {"weight": torch.ones(2, 2)}).missing == ()

    def test_versions_of_modules_reach_them(self):
        # A BatchNorm of before version 2 has no num_batches_tracked, which is no misfit.
        state = OrderedDict(nn.BatchNorm1d(2).state_dict())
        del state["num_batches_tracked"]
        state._metadata = {"": {"version": 1}}
        assert load_state_dict(nn.BatchNorm1d(2), state).fits

    @pytest.mark.parametrize(
        "wrap", [nn.DataParallel, partial(torch.compile, backend="eager")], ids=["parallel", "compiled"]
    )
    def test_wrappers_do_not_show_in_the_names(self, wrap):
        net = Net()
        assert get_state_dict(wrap(net)).keys() == net.state_dict().keys()
        model = Net()
        assert load_state_dict(wrap(model), net.state_dict()).fits
        assert same(model, net)

    def test_wrappers_around_parts_neither(self):
        net, plain = Net(), Net()
        keys = list(net.state_dict())
        net.head = nn.DataParallel(net.head)
        assert set(get_state_dict(net)) == set(keys)
        assert load_state_dict(net, plain.state_dict()).fits
        assert torch.equal(net.head.module.weight, plain.head.weight)

    def test_prefix_and_destination(self):
        destination = OrderedDict(before=1)
        state = get_state_dict(nn.Linear(1, 1), destination, prefix="m.", keep_vars=True)
        assert state is destination
        assert list(state) == ["before", "m.weight", "m.bias"]
        assert state["m.weight"].requires_grad

    def test_weights_to_cpu_keeps_versions_and_nesting(self):
        state = nn.BatchNorm1d(2).state_dict()
        state["extra"] = {"x": [torch.ones(1)]}
        moved = weights_to_cpu(state)
        assert moved._metadata == state._metadata
        assert moved["extra"]["x"][0].device.type == "cpu"
