from __future__ import annotations

import logging
import math

import pytest
import torch
from torch import nn

from eng.logging import MMLogger
from eng.model import (
    BaseInit,
    BaseModule,
    InitCfgError,
    ModuleDict,
    ModuleList,
    OverrideTargetError,
    PretrainedInit,
    Sequential,
    bias_init_with_prob,
    caffe2_xavier_init,
    constant_init,
    initialize,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    xavier_init,
)
from eng.model.weight_init import trunc_normal_
from eng.registry import WEIGHT_INITIALIZERS

IN, OUT = 300, 200


def layer():
    torch.manual_seed(0)
    return nn.Linear(IN, OUT)


MOMENTS = {
    "constant": ({"type": "Constant", "val": 0.3}, lambda m, b: constant_init(m, 0.3, b), 0.3, 0.0),
    "normal": ({"type": "Normal", "mean": 1, "std": 0.5}, lambda m, b: normal_init(m, 1, 0.5, b), 1.0, 0.5),
    "xavier": ({"type": "Xavier", "gain": 2}, lambda m, b: xavier_init(m, 2, b), 0.0, 2 * math.sqrt(2 / (IN + OUT))),
    "xavier-uniform": (
        {"type": "Xavier", "distribution": "uniform"},
        lambda m, b: xavier_init(m, bias=b, distribution="uniform"),
        0.0,
        math.sqrt(2 / (IN + OUT)),
    ),
    "uniform": ({"type": "Uniform", "a": 1, "b": 3}, lambda m, b: uniform_init(m, 1, 3, b), 2.0, 2 / math.sqrt(12)),
    "trunc": ({"type": "TruncNormal", "std": 0.1}, lambda m, b: trunc_normal_init(m, std=0.1, bias=b), 0.0, 0.1),
    "kaiming": ({"type": "Kaiming"}, lambda m, b: kaiming_init(m, bias=b), 0.0, math.sqrt(2 / OUT)),
    "kaiming-in-uniform": (
        {"type": "Kaiming", "mode": "fan_in", "distribution": "uniform"},
        lambda m, b: kaiming_init(m, mode="fan_in", bias=b, distribution="uniform"),
        0.0,
        math.sqrt(2 / IN),
    ),
    "caffe2": ({"type": "Caffe2Xavier"}, lambda m, b: caffe2_xavier_init(m, b), 0.0, math.sqrt(1 / IN)),
}


@pytest.mark.parametrize(("cfg", "function", "mean", "std"), MOMENTS.values(), ids=MOMENTS)
def test_initialisers_have_the_moments_of_their_formula(cfg, function, mean, std):
    by_cfg, by_function = layer(), layer()
    torch.manual_seed(1)
    initialize(by_cfg, {**cfg, "layer": "Linear", "bias": 0.25})
    torch.manual_seed(1)
    function(by_function, 0.25)
    assert torch.equal(by_cfg.weight, by_function.weight)
    assert (by_cfg.bias == 0.25).all() and (by_function.bias == 0.25).all()
    assert by_cfg.weight.mean().item() == pytest.approx(mean, abs=0.01)
    assert by_cfg.weight.std().item() == pytest.approx(std, rel=0.02, abs=1e-6)


def test_truncated_values_of_a_seed_are_those_of_the_reference():
    torch.manual_seed(1)  # values from MMEngine 0.10.7
    assert trunc_normal_(torch.empty(4))[:2].tolist() == [0.661672055721283, -0.5552778840065002]
    torch.manual_seed(1)
    assert trunc_normal_(torch.empty(4), std=0.02)[:2].tolist() == [0.013974087312817574, -0.011697798036038876]


def test_truncation_cuts_values():
    tensor = trunc_normal_(torch.empty(10000), std=5, a=-1, b=2)
    assert tensor.min() >= -1 and tensor.max() <= 2


@pytest.mark.parametrize(
    "function",
    [
        lambda module: constant_init(module, 1),
        xavier_init,
        normal_init,
        trunc_normal_init,
        uniform_init,
        kaiming_init,
        caffe2_xavier_init,
    ],
    ids=["constant", "xavier", "normal", "trunc_normal", "uniform", "kaiming", "caffe2_xavier"],
)
def test_layers_without_weight_or_bias_keep_what_they_have(function):
    linear, norm, bare = nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2, affine=False), nn.ReLU()
    before = linear.weight.detach().clone()
    for layer in (linear, norm, bare):
        function(layer)
    assert not torch.equal(linear.weight, before)
    assert [name for layer in (linear, norm, bare) for name, _ in layer.named_parameters()] == ["weight"]
    assert torch.equal(norm.running_var, torch.ones(2))


def test_bias_by_probability():
    assert 1 / (1 + math.exp(-bias_init_with_prob(0.01))) == pytest.approx(0.01)
    module = nn.Linear(1, 1)
    initialize(module, {"type": "Constant", "val": 0, "layer": "Linear", "bias_prob": 0.01})
    assert torch.sigmoid(module.bias).item() == pytest.approx(0.01)


class Parts(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(1, 1, 1)
        self.linear = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1)


def values(module):
    return [module.conv.weight.item(), module.linear.weight.item(), module.norm.weight.item()]


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        ({"type": "Constant", "layer": "Conv2d", "val": 2}, [2, None, 1]),
        ({"type": "Constant", "layer": ["Conv2d", "Linear"], "val": 2}, [2, 2, 1]),
        (
            [{"type": "Constant", "layer": "Conv2d", "val": 2}, {"type": "Constant", "layer": "Linear", "val": 3}],
            [2, 3, 1],
        ),
        ({"type": "Constant", "layer": "_ConvNd", "val": 2}, [2, None, 1]),
        ({"type": "Constant", "val": 2}, [None, None, 1]),
        ({"type": "Constant", "layer": "Conv2d", "val": 2, "override": {"name": "linear"}}, [2, 2, 1]),
        (
            {
                "type": "Constant",
                "layer": "Conv2d",
                "val": 2,
                "override": {"type": "Constant", "name": "linear", "val": 5},
            },
            [2, 5, 1],
        ),
        (
            {
                "type": "Constant",
                "val": 2,
                "override": [{"name": "linear"}, {"type": "Constant", "name": "norm", "val": 6}],
            },
            [None, 2, 6],
        ),
    ],
    ids=["layer", "layers", "list", "base", "no-layer", "override-name", "override", "overrides"],
)
def test_layers_and_overrides(cfg, expected):
    module = Parts(cfg)
    before = values(module)
    module.init_weights()
    assert values(module) == [old if new is None else new for old, new in zip(before, expected, strict=True)]


BAD = {
    "no-name": (
        {"type": "Constant", "val": 1, "override": {"type": "Constant", "val": 2}},
        InitCfgError,
        "an override needs 'name', the child it is for; it has {'type': 'Constant', 'val': 2}",
    ),
    "no-type": (
        {"type": "Constant", "val": 1, "override": {"name": "conv", "val": 2}},
        InitCfgError,
        "the override of 'conv' needs a 'type', or nothing beside its name",
    ),
    "no-child": (
        {"type": "Constant", "val": 1, "override": {"name": "cnov"}},
        OverrideTargetError,
        "an override names 'cnov', which Parts has not; did you mean 'conv'",
    ),
    "bad-override": (
        {"type": "Constant", "val": 1, "override": 3},
        TypeError,
        "override takes one dict, or several in a list, got int",
    ),
    "unknown": ({"type": "Konstant", "val": 1}, KeyError, "Constant"),
    "bias": ({"type": "Constant", "val": 1, "bias": "a"}, TypeError, "bias takes a number, got str"),
    "prob": ({"type": "Constant", "val": 1, "bias_prob": "a"}, TypeError, "bias_prob must be a float, got str"),
    "layer": (
        {"type": "Constant", "val": 1, "layer": 3},
        TypeError,
        "layer must be a class name or a list of them, got int",
    ),
    "list": (["Constant"], TypeError, "init_cfg takes one dict, or several in a list, got a list with str"),
    "number": (3, TypeError, "init_cfg takes one dict, or several in a list, got int"),
    "distribution": (
        {"type": "Xavier", "layer": "Linear", "distribution": "log"},
        ValueError,
        "'uniform' or 'normal', got 'log'",
    ),
}


@pytest.mark.parametrize(("cfg", "error", "match"), BAD.values(), ids=BAD)
def test_bad_init_cfg_is_named(cfg, error, match):
    module = Parts(cfg)
    with pytest.raises(error, match=match):
        module.init_weights()
    assert not hasattr(module, "_params_init_info")
    with pytest.raises(error, match=match):
        initialize(Parts(), cfg)


def test_pretrained_runs_last_and_takes_a_prefix(tmp_path):
    source = nn.Sequential()
    source.add_module("backbone", Parts())
    constant_init(source.backbone.conv, 7, 7)
    file = tmp_path / "a.pth"
    torch.save({"state_dict": source.state_dict()}, file)
    module = Parts(
        [
            {"type": "Pretrained", "checkpoint": str(file), "prefix": "backbone"},
            {"type": "Constant", "layer": "Conv2d", "val": 1},
        ]
    )
    module.init_weights()
    assert module.conv.weight.item() == 7
    plain = nn.Sequential()
    plain.add_module("backbone", Parts())
    PretrainedInit(str(file))(plain)
    assert plain.backbone.conv.bias.item() == 7
    with pytest.raises(InitCfgError, match=r"holds nothing under the prefix 'neck\.'; it has \['backbone'\]"):
        PretrainedInit(str(file), prefix="neck")(Parts())


class Own(BaseModule):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def init_weights(self):
        super().init_weights()
        with torch.no_grad():
            self.linear.weight.fill_(0.125)


class Whole(BaseModule):
    def __init__(self):
        super().__init__({"type": "Constant", "layer": "Conv2d", "val": 2, "bias": 3})
        self.conv = nn.Conv2d(1, 1, 1)
        self.own = Own()
        self.rest = ModuleList([nn.Linear(1, 1)])


def test_what_initialised_each_parameter_is_written_to_the_log_file(tmp_path):
    logger = MMLogger.get_instance("init-record", log_file=str(tmp_path / "run.log"))
    module = Whole()
    module.init_weights()
    for handler in logger.handlers:
        handler.flush()
    (file,) = tmp_path.glob("*.log")
    text = file.read_text()
    assert "What set each parameter" in text
    assert "\nconv.weight - torch.Size([1, 1, 1, 1]): \nConstantInit: val=2, bias=3 \n" in text
    assert "\nown.linear.weight - torch.Size([2, 2]): \nSet in init_weights() of Own, the user's own \n" in text
    assert "\nrest.0.weight - torch.Size([1, 1]): \nLeft by init_weights() of Whole as it was \n" in text
    assert not any(hasattr(part, "_params_init_info") for part in module.modules())


def test_second_call_only_warns():
    module = Parts({"type": "Constant", "layer": "Conv2d", "val": 2})
    module.init_weights()
    assert module.is_init
    constant_init(module.conv, 9)
    with pytest.warns(UserWarning, match="init_weights of Parts ran before"):
        module.init_weights()
    assert module.conv.weight.item() == 9


def test_children_that_are_done_stay():
    module = Whole()
    module.own.is_init = True
    before = module.own.linear.weight.clone()
    module.init_weights()
    assert torch.equal(module.own.linear.weight, before)


def test_a_parameter_that_appears_meanwhile_is_named():
    class Late(BaseModule):
        def init_weights(self):
            self.late = nn.Parameter(torch.ones(1))

    with pytest.raises(ValueError, match="parameter late of Late appeared while"):
        Sequential(Late()).init_weights()


def test_containers_initialise_their_children():
    cfg = {"type": "Constant", "layer": "Linear", "val": 4}
    containers = [
        Sequential(nn.Linear(1, 1), init_cfg=cfg),
        ModuleList([nn.Linear(1, 1)], init_cfg=cfg),
        ModuleDict({"a": nn.Linear(1, 1)}, init_cfg=cfg),
    ]
    for container in containers:
        container.init_weights()
        assert next(container.parameters()).item() == 4 and container.is_init
    assert containers[0](torch.ones(1, 1)).shape == (1, 1)
    assert "init_cfg=" in repr(containers[0])


def test_init_cfg_is_copied():
    cfg = {"type": "Constant", "val": 1}
    module = Parts(cfg)
    cfg["val"] = 2
    assert module.init_cfg["val"] == 1


def test_without_a_file_the_record_goes_to_the_debug_log(caplog):
    MMLogger.get_instance("no-file")
    with caplog.at_level(logging.DEBUG, logger="eng.model"):
        Parts({"type": "Constant", "layer": "Conv2d", "val": 2}).init_weights()
    assert "ConstantInit: val=2, bias=0" in caplog.text


def test_an_initialiser_of_ones_own():
    @WEIGHT_INITIALIZERS.register_module(force=True)
    class Sevens(BaseInit):
        def __call__(self, module):
            module.apply(lambda part: constant_init(part, 7))

    module = Parts({"type": "Sevens"})
    module.init_weights()
    assert values(module) == [7, 7, 7]
