from __future__ import annotations

import pytest
import torch
from optim_parts import Manual, values
from torch import nn

from eng.optim import OPTIM_WRAPPER_CONSTRUCTORS, DefaultOptimWrapperConstructor, build_optim_wrapper


class TestMistakes:
    def test_a_custom_key_that_fits_nothing_is_warned_about(self, heard):
        values(Manual(), {"custom_keys": {"backbne": {"lr_mult": 0.1}}})
        assert "custom_keys: 'backbne' is part of no parameter's name; did you mean 'backbone'" in heard.text

    def test_a_custom_key_that_longer_ones_hide_is_warned_about(self, heard):
        values(Manual(), {"custom_keys": {"backbone": {}, "backbone.layer0": {}, "backbone.layer1": {}}})
        assert "'backbone' decides nothing" in heard.text

    def test_an_unknown_rule_is_warned_about(self, heard):
        values(Manual(), {"norm_decay_mlt": 0.0})
        assert "no rule 'norm_decay_mlt'; did you mean 'norm_decay_mult'" in heard.text

    @pytest.mark.parametrize(
        ("cfg", "error", "words"),
        [
            ({"optimiser": {"type": "SGD"}}, KeyError, "needs 'optimizer'.*; did you mean 'optimiser'"),
            ({"optimizer": {"type": "AdamWW", "lr": 1.0}}, KeyError, "did you mean.*AdamW"),
            ({"optimizer": {"type": "SGD", "lr": 1.0}, "type": "OptimWraper"}, KeyError, "OptimWrapper"),
            ({"optimizer": {"lr": 1.0}}, KeyError, "type"),
            (
                {"optimizer": {"type": "SGD", "lr": 1.0}, "paramwise_cfg": [1]},
                TypeError,
                "paramwise_cfg must be a mapping",
            ),
            (
                {"optimizer": {"type": "SGD", "lr": 1.0}, "paramwise_cfg": {"custom_keys": ["a"]}},
                TypeError,
                "custom_keys must be a mapping, got list",
            ),
            (
                {"optimizer": {"type": "SGD", "lr": 1.0}, "paramwise_cfg": {"norm_decay_mult": 0.0}},
                ValueError,
                "norm_decay_mult multiplies weight_decay, which should not be None in the optimizer's config",
            ),
            (
                {"optimizer": {"type": "SGD", "lr": 1.0}, "paramwise_cfg": {"custom_keys": {"a": {"decay_mult": 0}}}},
                ValueError,
                r"custom_keys\['a'\].decay_mult multiplies weight_decay",
            ),
            (
                {"optimizer": {"type": "Adam"}, "paramwise_cfg": {"bias_lr_mult": 2.0}},
                ValueError,
                "multiplies the lr of backbone.layer0.bias, but the optimizer's config has no lr",
            ),
        ],
        ids=[
            "no optimizer",
            "optimizer name",
            "wrapper name",
            "no type",
            "list",
            "keys",
            "decay",
            "custom decay",
            "no lr",
        ],
    )
    def test_is_named(self, cfg, error, words):
        with pytest.raises(error, match=words):
            build_optim_wrapper(Manual(), cfg)

    def test_what_is_no_config(self):
        with pytest.raises(TypeError, match="optim_wrapper must be a mapping"):
            build_optim_wrapper(Manual(), "SGD")
        with pytest.raises(TypeError, match="optim_wrapper_cfg must be a mapping, got list"):
            DefaultOptimWrapperConstructor([])


def test_a_constructor_of_ones_own():
    """The layer-wise decay of the manual, with its prints as a log."""

    class LayerDecay(DefaultOptimWrapperConstructor):
        def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
            super().__init__(optim_wrapper_cfg, paramwise_cfg=None)
            self.decay_factor = paramwise_cfg.get("decay_factor", 0.5)
            super().__init__(optim_wrapper_cfg, paramwise_cfg)

        def add_params(self, params, module, prefix="", lr=None):
            lr = self.base_lr if lr is None else lr
            for _, param in module.named_parameters(recurse=False):
                params.append({"params": [param], "lr": lr})
            for name, child in module.named_children():
                self.add_params(params, child, f"{prefix}.{name}", lr=lr * self.decay_factor)

    OPTIM_WRAPPER_CONSTRUCTORS.register_module(module=LayerDecay, force=True)
    model = nn.ModuleDict({"layer": nn.ModuleDict({"linear": nn.Linear(1, 1)}), "linear": nn.Linear(1, 1)})
    try:
        cfg = {
            "optimizer": {"type": "SGD", "lr": 0.01},
            "paramwise_cfg": {"decay_factor": 0.5},
            "constructor": "LayerDecay",
        }
        groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    finally:
        del OPTIM_WRAPPER_CONSTRUCTORS.module_dict["LayerDecay"]
    assert [group["lr"] for group in groups] == [0.0025, 0.0025, 0.005, 0.005]


class TestMistakesBelowCustomKeys:
    def build(self, custom, kind="SGD", **rules):
        constructor = DefaultOptimWrapperConstructor(
            dict(optimizer=dict(type=kind, lr=0.1, weight_decay=0.01)), dict(custom_keys=custom, **rules)
        )
        return constructor(nn.Sequential(nn.Linear(1, 1)))

    @pytest.mark.parametrize(
        ("custom", "words"),
        [
            ({"0": dict(lr_mul=0.1)}, r"custom_keys\['0'\]: a parameter group has no 'lr_mul'; did you mean 'lr_mult'"),
            ({"0": dict(momentun=0.1)}, "no 'momentun'; did you mean 'momentum'"),
            ({"0": 0.1}, r"custom_keys\['0'\] must be a mapping such as dict\(lr_mult=0.1\), got 0.1"),
            ({"0": dict(lr_mult="0.1")}, r"custom_keys\['0'\].lr_mult must be a number, got '0.1'"),
            ({"0": dict(decay_mult=None)}, r"custom_keys\['0'\].decay_mult must be a number, got None"),
        ],
    )
    def test_they_are_named(self, custom, words) -> None:
        with pytest.raises(ValueError, match=words):
            self.build(custom)

    def test_a_factor_that_is_no_number(self) -> None:
        with pytest.raises(TypeError, match="paramwise_cfg.bias_lr_mult must be a number, got '2'"):
            self.build({}, bias_lr_mult="2")

    def test_values_of_the_optimizer_are_taken(self) -> None:
        groups = self.build({"bias": dict(momentum=0.5, nesterov=False, lr_mult=2)}).optimizer.param_groups
        assert [(group["momentum"], round(group["lr"], 6)) for group in groups] == [(0, 0.1), (0.5, 0.2)]

    def test_other_libraries_optimizers_may_take_any_value(self) -> None:
        class Free(torch.optim.SGD):
            def __init__(self, params, lr, weight_decay=0.0):
                super().__init__(params, lr, weight_decay=weight_decay)

        groups = self.build({"bias": dict(trust=0.5)}, kind=Free).optimizer.param_groups
        assert [group.get("trust") for group in groups] == [None, 0.5]


class Token(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.ones(1))
        self.inner = nn.Linear(1, 1)


@pytest.mark.parametrize("key", [".cls_token", "cls_token"])
def test_a_key_with_a_dot_names_a_parameter_of_the_root(key) -> None:
    cfg = dict(optimizer=dict(type="SGD", lr=0.1, weight_decay=0.01))
    wrapper = DefaultOptimWrapperConstructor(cfg, dict(custom_keys={key: dict(decay_mult=0.0)}))(Token())
    assert [group["weight_decay"] for group in wrapper.optimizer.param_groups] == [0.0, 0.01, 0.01]
