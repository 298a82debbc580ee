from __future__ import annotations

import logging

import pytest
from optim_parts import RULES, Manual, Net, values
from torch import nn

from eng.optim import OptimWrapper, build_optim_wrapper


class TestRules:
    @pytest.mark.parametrize("rule", RULES)
    def test_a_rule_reaches_its_parameters_and_no_others(self, rule):
        place, reached = RULES[rule]
        found = values(Net(), {rule: 0.5})
        assert {name for name, pair in found.items() if pair[place] == 0.5} == reached
        assert all(pair[1 - place] == 1.0 for pair in found.values())
        assert all(pair[place] == 1.0 for name, pair in found.items() if name not in reached)

    def test_of_several_decays_one_decides(self):
        found = values(
            Net(), {"norm_decay_mult": 0.1, "bias_decay_mult": 0.2, "dwconv_decay_mult": 0.3, "flat_decay_mult": 0.4}
        )
        expected = {"bn.bias": 0.1, "conv.bias": 0.2, "depthwise.bias": 0.2, "depthwise.weight": 0.3, "scale": 0.4}
        assert {name: found[name][1] for name in expected} == expected

    def test_the_longest_custom_key_decides_alone(self):
        keys = {
            "backbone.layer0": {"lr_mult": 0, "decay_mult": 0},
            "backbone": {"lr_mult": 1},
            "head": {"lr_mult": 0.1},
        }
        found = values(Manual(), {"custom_keys": keys, "norm_decay_mult": 0.0, "bias_lr_mult": 7.0})
        assert found == {
            "backbone.layer0.weight": (0, 0), "backbone.layer0.bias": (0, 0),
            "backbone.layer1.weight": (1, 1), "backbone.layer1.bias": (1, 1),
            "head.linear.weight": (0.1, 1), "head.linear.bias": (0.1, 1),
            "head.bn.weight": (0.1, 1), "head.bn.bias": (0.1, 1),
        }  # fmt: skip

    def test_a_custom_key_sets_any_value_of_a_group(self):
        cfg = {
            "optimizer": {"type": "SGD", "lr": 1.0},
            "paramwise_cfg": {"custom_keys": {"head": {"momentum": 0.5, "nesterov": True}}},
        }
        groups = build_optim_wrapper(Manual(), cfg).optimizer.param_groups
        assert [(g["momentum"], g["nesterov"]) for g in groups] == [(0, False)] * 4 + [(0.5, True)] * 4

    def test_frozen_parameters_are_left_out(self, heard):
        model = Manual()
        model.backbone.layer0.weight.requires_grad_(False)
        assert "backbone.layer0.weight" not in values(model, {"norm_decay_mult": 0.0})
        assert "backbone.layer0.weight is frozen (requires_grad=False) and gets no update" in heard.text

    @pytest.mark.parametrize("bypass", [None, False, True], ids=str)
    def test_a_shared_parameter_is_in_one_group(self, bypass, heard):
        model = Manual()
        model.head.linear.weight = model.backbone.layer0.weight
        rules = {"lr_mult": 1.0} if bypass is None else {"lr_mult": 1.0, "bypass_duplicate": bypass}
        assert len(values(model, rules)) == 7
        record = next(r for r in heard.records if "head.linear.weight is shared" in r.getMessage())
        assert record.levelno == (logging.WARNING if bypass else logging.INFO)

    def test_without_rules_there_is_one_group(self):
        wrapper = build_optim_wrapper(Manual(), {"optimizer": {"type": "SGD", "lr": 1.0}})
        assert len(wrapper.optimizer.param_groups) == 1
        assert type(wrapper) is OptimWrapper

    def test_a_wrapper_around_the_model_is_looked_through(self):
        cfg = {
            "optimizer": {"type": "SGD", "lr": 1.0},
            "paramwise_cfg": {"custom_keys": {"backbone": {"lr_mult": 0.5}}},
        }
        wrapper = build_optim_wrapper(nn.DataParallel(Manual()), cfg)
        assert [group["lr"] for group in wrapper.optimizer.param_groups] == [0.5] * 4 + [1.0] * 4

    def test_the_lines_of_the_manual_are_logged(self, heard):
        cfg = {
            "optimizer": {"type": "SGD", "lr": 0.01, "weight_decay": 0.0001},
            "paramwise_cfg": {"norm_decay_mult": 0},
        }
        build_optim_wrapper(Manual(), cfg)
        assert [line for line in heard.text.splitlines() if "paramwise_options" in line] == [
            f"paramwise_options -- {line}"
            for line in [
                "backbone.layer0.bias:lr=0.01",
                "backbone.layer0.bias:weight_decay=0.0001",
                "backbone.layer1.bias:lr=0.01",
                "backbone.layer1.bias:weight_decay=0.0001",
                "head.linear.bias:lr=0.01",
                "head.linear.bias:weight_decay=0.0001",
                "head.bn.weight:weight_decay=0.0",
                "head.bn.bias:weight_decay=0.0",
            ]
        ]

    def test_the_lines_of_custom_keys_are_logged(self, heard):
        cfg = {
            "optimizer": {"type": "SGD", "lr": 0.01, "weight_decay": 0.0001},
            "paramwise_cfg": {
                "custom_keys": {"backbone.layer0": {"lr_mult": 0, "decay_mult": 0}, "head": {"lr_mult": 0.1}}
            },
        }
        build_optim_wrapper(Manual(), cfg)
        lines = [line for line in heard.text.splitlines() if "layer0.weight" in line or "head.linear.weight" in line]
        assert lines == [
            "paramwise_options -- backbone.layer0.weight:lr=0.0",
            "paramwise_options -- backbone.layer0.weight:weight_decay=0.0",
            "paramwise_options -- backbone.layer0.weight:lr_mult=0",
            "paramwise_options -- backbone.layer0.weight:decay_mult=0",
            "paramwise_options -- head.linear.weight:lr=0.001",
            "paramwise_options -- head.linear.weight:weight_decay=0.0001",
            "paramwise_options -- head.linear.weight:lr_mult=0.1",
        ]


def test_a_key_with_a_leading_dot_names_a_parameter_of_the_root(heard):
    assert values(Net(), {"custom_keys": {".scale": {"lr_mult": 0.5}}})["scale"] == (0.5, 1.0)
    assert "is part of no parameter's name" not in heard.text


def test_the_config_stays_as_it_is():
    cfg = {"optimizer": {"type": "SGD", "lr": 1.0}, "clip_grad": {"max_norm": 1}, "paramwise_cfg": {"lr_mult": 1.0}}
    kept = repr(cfg)
    build_optim_wrapper(Manual(), cfg)
    assert repr(cfg) == kept
