"""From configs to wrappers: the default constructor's rules, its log lines, optimizers by name, mistakes."""

from __future__ import annotations

import logging
import sys
from collections import OrderedDict
from types import ModuleType

import pytest
import torch
from torch import nn

from eng.optim import (
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIMIZERS,
    DefaultOptimWrapperConstructor,
    OptimWrapper,
    build_optim_wrapper,
)
from eng.optim.optimizer import _by_name
from eng.registry import InstalledClass


class ModulatedDeformConv2d(nn.Module):
    """Stands for mmcv's, which is known by its name."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 1, 3, 3))
        self.bias = nn.Parameter(torch.ones(1))
        self.conv_offset = nn.Conv2d(2, 18, 3)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.conv = nn.Conv2d(3, 4, 3)
        self.depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.bn = nn.BatchNorm2d(4)
        self.ln = nn.LayerNorm(4)
        self.rms = nn.RMSNorm(4)
        self.dcn = ModulatedDeformConv2d()


class Manual(nn.Module):
    """The model of the manual's chapter on optimizer wrappers."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.ModuleDict({"layer0": nn.Linear(1, 1), "layer1": nn.Linear(1, 1)})
        self.head = nn.Sequential(OrderedDict(linear=nn.Linear(1, 1), bn=nn.BatchNorm1d(1)))


def values(model, paramwise_cfg, lr=1.0, weight_decay=1.0):
    cfg = {"optimizer": {"type": "SGD", "lr": lr, "weight_decay": weight_decay}, "paramwise_cfg": paramwise_cfg}
    wrapper = build_optim_wrapper(model, cfg)
    names = {id(p): name for name, p in model.named_parameters()}
    return {names[id(g["params"][0])]: (g["lr"], g["weight_decay"]) for g in wrapper.optimizer.param_groups}


NORMS = {"bn.weight", "bn.bias", "ln.weight", "ln.bias", "rms.weight"}
OFFSETS = {"dcn.conv_offset.weight", "dcn.conv_offset.bias"}
RULES = {
    "lr_mult": (0, {name for name, _ in Net().named_parameters()}),
    "decay_mult": (1, {name for name, _ in Net().named_parameters()}),
    "bias_lr_mult": (0, {"conv.bias", "depthwise.bias", "dcn.bias"}),
    "bias_decay_mult": (1, {"conv.bias", "depthwise.bias", "dcn.bias"}),
    "norm_decay_mult": (1, NORMS),
    "dwconv_decay_mult": (1, {"depthwise.weight", "depthwise.bias"}),
    "flat_decay_mult": (1, NORMS | {"scale", "conv.bias", "depthwise.bias", "dcn.bias"}),
    "dcn_offset_lr_mult": (0, OFFSETS),
}


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
                "norm_decay_mult multiplies weight_decay, which the optimizer's config must give",
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


def test_the_config_stays_as_it_is():
    cfg = {"optimizer": {"type": "SGD", "lr": 1.0}, "clip_grad": {"max_norm": 1}, "paramwise_cfg": {"lr_mult": 1.0}}
    kept = repr(cfg)
    build_optim_wrapper(Manual(), cfg)
    assert repr(cfg) == kept


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


def test_parameters_may_have_another_name():
    class Hybrid(torch.optim.SGD):
        def __init__(self, model_params, lr):
            super().__init__(model_params, lr=lr)

    wrapper = build_optim_wrapper(Manual(), {"optimizer": {"type": Hybrid, "lr": 0.5}})
    assert wrapper.get_lr() == {"lr": [0.5]}


class TestByName:
    def test_all_of_torch_is_there(self):
        for name in torch.optim.__all__:
            found = getattr(torch.optim, name)
            if isinstance(found, type) and issubclass(found, torch.optim.Optimizer) and name != "Optimizer":
                assert OPTIMIZERS.get("TorchAdafactor" if name == "Adafactor" else name) is found

    @pytest.fixture
    def names(self):
        kept = dict(OPTIMIZERS.module_dict)
        yield OPTIMIZERS.module_dict
        OPTIMIZERS.module_dict.clear()
        OPTIMIZERS.module_dict.update(kept)

    @pytest.fixture
    def elsewhere(self, monkeypatch):
        """Stand-ins for packages with optimizers; importing them is noted."""

        class Lion(torch.optim.SGD):
            pass

        class Adafactor(torch.optim.SGD):
            pass

        for name, contents in (
            ("lion_pytorch", {"Lion": Lion}),
            ("bitsandbytes", {}),
            ("bitsandbytes.optim", {"Lion": Lion, "Adam8bit": Lion, "SGD": Lion}),
            ("transformers", {"Adafactor": Adafactor}),
        ):
            module = ModuleType(name)
            module.__dict__.update(contents)
            monkeypatch.setitem(sys.modules, name, module)
        return {"lion_pytorch", "bitsandbytes", "transformers"}.__contains__

    def test_optimizers_of_other_packages(self, names, elsewhere):
        names.clear()
        _by_name.register_optimizers(elsewhere)
        model = Manual()
        for name, kind in {"Lion": "Lion", "bnb_Lion": "Lion", "Adam8bit": "Lion", "Adafactor": "Adafactor"}.items():
            wrapper = build_optim_wrapper(model, {"optimizer": {"type": name, "lr": 0.1}})
            assert type(wrapper.optimizer).__name__ == kind
        assert names["TorchAdafactor"] is torch.optim.Adafactor
        assert names["SGD"] is torch.optim.SGD
        assert "bnb_SGD" in names

    def test_without_transformers_adafactor_is_torchs(self, names):
        names.clear()
        _by_name.register_optimizers(lambda package: False)
        assert names["Adafactor"] is names["TorchAdafactor"] is torch.optim.Adafactor
        assert "Lion" not in names

    def test_a_package_is_imported_when_its_optimizer_is_used(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "lion_pytorch", raising=False)
        lazy = InstalledClass("lion_pytorch", "Lion")
        assert lazy.__name__ == "Lion"
        assert "lion_pytorch" not in sys.modules

    def test_a_clash_is_warned_about_and_the_users_class_counts(self, names, caplog):
        names.clear()

        class Muon(torch.optim.SGD):
            pass

        with caplog.at_level("INFO", "eng.registry"):
            OPTIMIZERS.register_module(module=Muon)
            _by_name.register_optimizers(lambda package: False)
        assert names["Muon"] is Muon
        assert "keeps the name 'Muon'" in caplog.text

    def test_a_users_class_takes_the_name_after_the_import_too(self, names, caplog):
        names.clear()
        _by_name.register_optimizers(lambda package: False)

        class Adam(torch.optim.SGD):
            pass

        with caplog.at_level("INFO", "eng.registry"):
            OPTIMIZERS.register_module(module=Adam)
        assert names["Adam"] is Adam
        assert "takes the name 'Adam'" in caplog.text

    def test_registering_again_is_fine(self, names, heard):
        before = dict(names)
        _by_name.register_optimizers()
        assert dict(names) == before
        assert "the name" not in heard.text


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
