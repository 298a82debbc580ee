"""Models converted to fewer bits, and which of their layers."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.evaluator import BaseMetric
from eng.model import BaseModel
from eng.runner import Runner
from eng.runner.errors import SettingsError
from eng.runner.precision import convert_precision

uses_torchao = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 10),
    reason="torchao 0.18 imports names that torch 2.10 brought",
)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({
        "layers": nn.ModuleList([nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)) for _ in range(2)]),
        "norm": nn.BatchNorm1d(32), "head": nn.Linear(32, 16), "odd": nn.Linear(16, 5),
    })  # fmt: skip


def test_weights_become_bfloat16_and_buffers_stay() -> None:
    net = network()
    assert convert_precision(net, dict(weights="bfloat16")) == []
    assert {parameter.dtype for parameter in net.parameters()} == {torch.bfloat16}
    assert net["norm"].running_mean.dtype is torch.float32
    assert convert_precision(net, None) == []


@uses_torchao
@pytest.mark.filterwarnings("ignore")  # of torchao's imports
@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ({}, ["head", "layers.0.0", "layers.0.2", "layers.1.0", "layers.1.2"]),
        (dict(skip="head", recipe="rowwise"), ["layers.0.0", "layers.0.2", "layers.1.0", "layers.1.2"]),
        (dict(modules=["layers.0", "head"], skip=["*.2"]), ["head", "layers.0.0"]),
    ],
    ids=["all that fit", "all but the head", "patterns"],
)
def test_named_layers_multiply_in_float8_close_to_float32(setting, names) -> None:
    float8 = pytest.importorskip("torchao.float8.float8_linear")
    net, plain = network(), network()
    state = copy.deepcopy(net.state_dict())
    assert convert_precision(net, dict(linear="float8", **setting)) == names
    assert [name for name, module in net.named_modules() if isinstance(module, float8.Float8Linear)] == sorted(
        names, key=list(dict(plain.named_modules())).index
    )
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    batch = torch.randn(16, 32)
    results = []
    for model, dtype in ((net, None), (plain, None), (plain, torch.bfloat16)):
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            results.append(model["head"](model["layers"][0](batch)).float())
    in_float8, in_float32, in_bfloat16 = results
    scale = in_float32.abs().max()
    # e4m3 has 3 bits behind the point: each product is off by up to 1/16, and sums of many by less.
    assert 0 < (in_float8 - in_float32).abs().max() / scale < 0.1
    assert (in_float8 - in_bfloat16).abs().max() / scale < 0.1
    in_float8.square().mean().backward()
    in_float32.square().mean().backward()
    for name in ("layers.0.0.weight", "head.weight"):
        ours, theirs = (dict(model.named_parameters())[name].grad for model in (net, plain))
        assert (ours - theirs).norm() / theirs.norm() < 0.2


@uses_torchao
@pytest.mark.filterwarnings("ignore")  # of torchao's imports
@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["float32", "autocast"])
@pytest.mark.parametrize(("recipe", "rows"), [(None, 7), ("rceil_wgrad_with_hp", 7), ("rceil", 32)])
def test_named_layers_multiply_in_mxfp8_close_to_the_other_precision(recipe, rows, dtype) -> None:
    pytest.importorskip("torchao.prototype.moe_training.mxfp8_linear")
    from eng.runner.mxfp8_linear import MXFP8Linear

    net, plain = network().eval(), network().eval()
    state = copy.deepcopy(net.state_dict())
    names = ["layers.0.2", "layers.1.0", "layers.1.2"]  # the head's sizes are no multiples of 32
    assert convert_precision(net, dict(linear="mxfp8", recipe=recipe, skip="layers.0.0")) == names
    assert [name for name, module in net.named_modules() if isinstance(module, MXFP8Linear)] == names
    assert list(net.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert not any(module.training for module in net.modules())
    batch = torch.randn(rows, 32)
    for model in (net, plain):
        nn.init.normal_(model["layers"][1][2].bias, generator=torch.Generator().manual_seed(1))
    results = []
    for model in (net, plain):
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            results.append(model["layers"][1](model["layers"][0](batch)).float())
        results[-1].square().mean().backward()
    in_mxfp8, expected = results
    # e4m3 has 3 bits behind the point: each product is off by up to 1/16, and sums of many by less.
    assert 0 < (in_mxfp8 - expected).norm() / expected.norm() < 0.1
    for name in ("layers.0.0.weight", "layers.0.2.weight", "layers.1.2.weight", "layers.1.2.bias"):
        ours, theirs = (dict(model.named_parameters())[name].grad for model in (net, plain))
        assert (ours - theirs).norm() / theirs.norm() < 0.2, name


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (dict(weight="bfloat16"), "precision takes no 'weight'; did you mean 'weights'"),
        (dict(weights="float16"), "weights must be one of 'bfloat16', 'float32', got 'float16'"),
        (dict(linear="int8"), "linear must be one of 'float8', 'mxfp8', got 'int8'"),
        (dict(linear="float8", recipe="blockwise"), "recipe must be one of 'tensorwise', 'rowwise'"),
        (dict(skip="head"), "are of linear='float8' or 'mxfp8', which is missing"),
        (dict(linear="mxfp8", recipe="rowwise"), "recipe must be one of 'rceil_wgrad_with_hp', 'rceil', got 'rowwise'"),
        (dict(linear="mxfp8", modules="head"), "linear='mxfp8'.* 1 are named, and sizes must be multiples of 32"),
        (dict(linear="float8", modules="layer"), "modules='layer' names no linear layer"),
        (dict(linear="float8", modules="odd"), "fits no linear layer of ModuleDict: 1 are named, and sizes must be multiples of 16"),
        ("float8", r"precision takes no 'float8': write precision=dict\(weights='bfloat16'\) or"),
        ("weights", r"precision takes no 'weights': write precision=dict\(weights='bfloat16'\) or"),
        (["weights"], r"precision takes no \['weights'\]: write"),
        (True, "precision takes no True: write"),
    ],
)  # fmt: skip
def test_settings_that_fit_nothing_are_refused(setting, message) -> None:
    with pytest.raises(SettingsError, match=message):
        convert_precision(network(), setting)


class TripledLinear(nn.Linear):
    """A layer of a user that computes something else."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 3 * super().forward(input)


@uses_torchao
@pytest.mark.parametrize("linear", ["float8", "mxfp8"])
def test_a_layer_with_a_forward_of_its_own_keeps_its_precision(caplog, linear) -> None:
    pytest.importorskip("torchao.prototype.moe_training.mxfp8_linear")
    net = nn.Sequential(nn.Linear(32, 32), TripledLinear(32, 32))
    net.append(nn.Linear(32, 32))
    net[2].forward = lambda x: x
    with caplog.at_level("INFO"):
        assert convert_precision(net, {"linear": linear}) == ["0"]
    message = f"1 linear layer converted to {linear}; not converted, because their size does not fit or they define a forward: 1, 2"
    assert message in caplog.text
    assert type(net[1]) is TripledLinear


@uses_torchao
@pytest.mark.filterwarnings("ignore")  # of torchao's imports
@pytest.mark.parametrize("linear", ["float8", "mxfp8"])
def test_a_model_that_is_converted_already_stays_as_it_is(linear) -> None:
    net = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 5))
    assert convert_precision(net, {"linear": linear}) == ["0"]
    layer = net[0]
    assert convert_precision(net, {"linear": linear}) == ["0"]
    assert net[0] is layer


@pytest.mark.parametrize(
    ("linear", "module", "version"),
    [
        ("float8", "torchao.float8", "torchao"),
        ("mxfp8", "eng.runner.mxfp8_linear", r"torchao 0\.18 or newer"),
    ],
)
def test_a_missing_torchao_is_named(monkeypatch, linear, module, version) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=f"needs {version}: pip install torchao"):
        convert_precision(network(), dict(linear=linear))


def test_a_torchao_for_another_torch_is_told_from_a_missing_one(monkeypatch, tmp_path) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchao"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torchao").mkdir()
    (tmp_path / "torchao" / "__init__.py").write_text("from torch.nn.functional import OfAnotherTorch\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        SettingsError, match=r"needs torchao that works with torch 2\..*fails to import: .*OfAnotherTorch"
    ):
        convert_precision(network(), dict(linear="float8"))


class Regression(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 1))

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = "tensor"):
        output = self.net(x)
        return {"loss": (output.float() - y).square().mean()} if mode == "loss" else list(output.float())


class Mean(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results += [float(sample) for sample in data_samples]

    def compute_metrics(self, results):
        return {"mean": sum(results) / len(results)}


@pytest.mark.parametrize("wrapper", [dict(type="BFloat16OptimWrapper"), dict(type="AmpOptimWrapper", dtype="bfloat16")])
def test_a_run_with_bfloat16_weights_validates_and_tests(tmp_path, wrapper) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(16, 4), torch.ones(16, 1)
    loader = DataLoader(TensorDataset(x, y), batch_size=8)
    plain = Regression()
    expected = {"mean": torch.stack(plain(x, y)).mean().item(), "loss": plain(x, y, "loss")["loss"].item()}
    runner = Runner(
        Regression(), str(tmp_path), loader, train_cfg=dict(max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.0), **wrapper), precision=dict(weights="bfloat16"),
        val_dataloader=loader, val_cfg=dict(loss=True), val_evaluator=Mean(),
        test_dataloader=loader, test_cfg=dict(), test_evaluator=Mean(), log_level="ERROR",
    )  # fmt: skip
    runner.train()
    metrics = {name.rpartition("/")[2]: value for name, value in {**runner.val(), **runner.test()}.items()}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=0.02)
    assert metrics["mean"] != expected["mean"]  # bfloat16 has 8 bits
