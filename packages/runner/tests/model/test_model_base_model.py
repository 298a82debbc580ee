from __future__ import annotations

import math
from collections import namedtuple

import pytest
import torch
from model_workers import Toy, Wrapper, batch
from torch import nn

from eng.checkpoint import load_state_dict
from eng.model import (
    BaseDataPreprocessor,
    BaseModel,
    BaseTTAModel,
    ImageShapeError,
    ImgDataPreprocessor,
    LossTypeError,
    NoLossError,
)
from eng.model.base_model import _vendor_devices
from eng.model.base_model._vendor_devices import named
from eng.registry import MODELS
from eng.structures import BaseDataElement


class Losses(BaseModel):
    """Gives the losses it is told to."""

    def __init__(self, losses=None, **kwargs):
        super().__init__(**kwargs)
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.losses = losses

    def forward(self, *args, mode="tensor", **kwargs):
        if mode == "loss":
            return {
                name: value * self.weight if isinstance(value, torch.Tensor) else value
                for name, value in self.losses.items()
            }
        return args, kwargs, mode


def test_parse_losses_averages_sums_and_detaches():
    model = Losses()
    a = torch.tensor([1.0, 3.0], requires_grad=True)
    loss, log_vars = model.parse_losses({"loss_a": a, "acc": torch.tensor([1, 0]), "aux_loss": [a, 2 * a]})
    assert loss.item() == 8 and loss.requires_grad
    assert {name: value.item() for name, value in log_vars.items()} == {
        "loss_a": 2,
        "acc": 0.5,
        "aux_loss": 6,
        "loss": 8,
    }
    assert list(log_vars)[-1] == "loss"
    assert not any(value.requires_grad for value in log_vars.values())


def test_an_entry_called_loss_is_one_of_the_losses():
    loss, log_vars = Losses().parse_losses({"loss": torch.tensor(1.0), "loss_b": torch.tensor(2.0)})
    assert loss.item() == 3 and log_vars["loss"].item() == 1
    assert Losses().parse_losses({"loss_a": [], "loss_b": torch.tensor(2.0)})[0].item() == 2


@pytest.mark.parametrize(
    ("value", "got"), [(1.0, "float"), ("x", "str"), ([1.0], "list of float"), (None, "NoneType")], ids=str
)
def test_a_loss_of_another_type_is_named(value, got):
    with pytest.raises(
        LossTypeError, match=f"loss 'loss_x' must be a differentiable tensor, or several in a list, got {got}"
    ):
        Losses().parse_losses({"loss_x": value})


def test_losses_must_be_there():
    with pytest.raises(NoLossError, match="'acc'"):
        Losses().parse_losses({"acc": torch.tensor(1.0)})
    with pytest.raises(TypeError, match=r"must return a dict of losses such as \{'loss': tensor\}, got Tensor"):
        Losses().parse_losses(torch.tensor(1.0))


@pytest.mark.parametrize("weight", [12, torch.tensor(12.0)], ids=["number", "tensor"])
def test_loss_weight_goes_to_the_optimizer_and_not_into_the_sum(weight):
    model = Losses({"loss": torch.tensor(3.0)})
    model.forward = lambda **kwargs: {"loss": model.weight * 3, "loss_weight": weight}
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.5))
    log_vars = model.train_step({}, wrapper)
    assert {name: value.item() for name, value in log_vars.items()} == {"loss": 6}
    assert wrapper.calls == [{"weight": weight}]


def test_train_step_updates_and_passes_no_weight_by_default():
    model = Losses({"loss": torch.tensor(3.0)})
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.5))
    log_vars = model.train_step([], wrapper)
    assert (log_vars["loss"].item(), model.weight.item(), wrapper.calls) == (6, 0.5, [{}])


@pytest.mark.parametrize(
    ("data", "args", "kwargs"), [({"x": 1}, (), {"x": 1}), ((1, 2), (1, 2), {}), ([1, 2], (1, 2), {})], ids=str
)
def test_batches_become_keywords_or_positional_arguments(data, args, kwargs):
    for step in (Losses().val_step, Losses().test_step):
        assert step(data) == (args, kwargs, "predict")


def test_a_batch_of_another_type_is_named():
    with pytest.raises(
        TypeError, match="Losses can be called with a batch that is a dict, a tuple or a list; .* came a Tensor"
    ):
        Losses().val_step(torch.ones(1))


def test_data_preprocessor_from_config_module_or_default():
    assert type(Losses().data_preprocessor) is BaseDataPreprocessor
    assert Losses(data_preprocessor={"type": "ImgDataPreprocessor", "pad_value": 1}).data_preprocessor.pad_value == 1
    own = nn.Identity()
    assert Losses(data_preprocessor=own).data_preprocessor is own
    with pytest.raises(TypeError, match="data_preprocessor must be a config, a module or None, got int"):
        Losses(data_preprocessor=3)


MOVES = {
    "to": lambda module: module.to("meta"),
    "to-dtype": lambda module: module.to(torch.device("meta"), torch.float16),
    "to-keyword": lambda module: module.to(device="meta"),
    "to-tensor": lambda module: module.to(torch.empty(0, device="meta")),
    "to_empty": lambda module: module.to_empty(device="meta"),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize(
    "inside", [lambda model: model, lambda model: nn.Sequential(model)], ids=["itself", "in-a-module"]
)
def test_every_move_of_a_model_reaches_the_preprocessor(move, inside):
    model = Losses()
    move(inside(model))
    assert model.data_preprocessor.device == torch.device("meta")
    assert model.data_preprocessor({"x": torch.ones(1)})["x"].is_meta


def test_half_and_cpu_leave_the_device():
    model = Losses().half().cpu().float().double()
    assert model.data_preprocessor.device == torch.device("cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_reaches_the_preprocessor():
    model = Losses(data_preprocessor=BaseDataPreprocessor(non_blocking=True)).cuda()
    assert model.data_preprocessor({"x": torch.ones(1).pin_memory()})["x"].is_cuda
    assert not model.cpu().data_preprocessor({"x": torch.ones(1)})["x"].is_cuda


@pytest.mark.parametrize("name", ["npu", "mlu", "musa"])
def test_other_accelerators_are_asked_for_by_name(name, monkeypatch):
    asked = []
    for cls in (Losses, BaseDataPreprocessor):  # this torch may not know the device: its plug-in names it
        monkeypatch.setattr(cls, "to", lambda self, device: asked.append(device) or self)
    monkeypatch.setattr(_vendor_devices, "named", lambda kind, index: (kind, index))
    model, preprocessor = Losses(), BaseDataPreprocessor()
    assert getattr(model, name)(1) is model and getattr(preprocessor, name)() is preprocessor
    assert asked == [(name, 1), (name, None)]


@pytest.mark.parametrize(
    ("given", "expected"), [(None, "cuda"), (1, "cuda:1"), ("cpu", "cpu"), (torch.device("cpu"), "cpu")], ids=str
)
def test_device_of_an_accelerator_by_number_or_name(given, expected):
    assert named("cuda", given) == torch.device(expected)


def test_cast_data_keeps_containers():
    Point = namedtuple("Point", "x y")
    element = BaseDataElement()
    data = {
        "a": (torch.ones(1), [torch.ones(1)]),
        "p": Point(torch.ones(1), None),
        "s": "text",
        "b": b"bytes",
        "n": 3,
        "e": element,
    }
    out = BaseDataPreprocessor().to("meta").cast_data(data)
    assert out["a"][0].is_meta and isinstance(out["a"][1], list) and out["a"][1][0].is_meta
    assert isinstance(out["p"], Point) and out["p"].x.is_meta and out["p"].y is None
    assert (out["s"], out["b"], out["n"]) == ("text", b"bytes", 3) and isinstance(out["e"], BaseDataElement)


@pytest.mark.parametrize("as_list", [True, False], ids=["list", "tensor"])
@pytest.mark.parametrize("swap", [{}, {"bgr_to_rgb": True}, {"rgb_to_bgr": True}], ids=str)
@pytest.mark.parametrize(("mean", "std"), [(None, None), ([1.0], [2.0]), ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])], ids=str)
def test_images_by_the_formula(as_list, swap, mean, std):
    images = torch.randint(0, 255, (2, 3, 5, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    out = ImgDataPreprocessor(mean, std, pad_size_divisor=4, pad_value=7, **swap)(
        {"inputs": list(images) if as_list else images}
    )
    expected = images.clone()
    if swap:
        expected = expected[:, [2, 1, 0]]
    expected = expected.float()
    if mean:
        expected = (expected - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
    assert out["inputs"].shape == (2, 3, 8, 8) and out["data_samples"] is None
    assert torch.equal(out["inputs"][..., :5, :6], expected)
    assert (out["inputs"][..., 5:, :] == 7).all() and (out["inputs"][..., 6:] == 7).all()


def test_gray_images_need_no_three_channels():
    out = ImgDataPreprocessor([1.0], [1.0])({"inputs": [torch.ones(1, 2, 2)], "data_samples": ["s"]})
    assert out["inputs"].abs().sum() == 0 and out["data_samples"] == ["s"]


IMAGE_ERRORS = {
    "both-swaps": (lambda: ImgDataPreprocessor(bgr_to_rgb=True, rgb_to_bgr=True), ValueError, "undo each other"),
    "mean-alone": (lambda: ImgDataPreprocessor(mean=[1]), ValueError, "mean came without std"),
    "std-alone": (lambda: ImgDataPreprocessor(std=[1]), ValueError, "std came without mean"),
    "no-deviation": (lambda: ImgDataPreprocessor([0, 0, 0], [1, 0, 1]), ValueError, r"std must not be 0.*\[1, 0, 1\]"),
    "two-means": (
        lambda: ImgDataPreprocessor([1, 2], [1, 2]),
        ValueError,
        "mean needs one value for all channels, or three, got 2",
    ),
    "channels": (
        lambda: ImgDataPreprocessor([1, 2, 3], [1, 2, 3])({"inputs": [torch.ones(1, 2, 2)]}),
        ImageShapeError,
        r"must be \(3, H, W\), got \(1, 2, 2\)",
    ),
    "batch-channels": (
        lambda: ImgDataPreprocessor([1, 2, 3], [1, 2, 3])({"inputs": torch.ones(2, 1, 2, 2)}),
        ImageShapeError,
        r"\(N, 3, H, W\)",
    ),
    "dims": (lambda: ImgDataPreprocessor()({"inputs": torch.ones(3, 2, 2)}), ImageShapeError, "4 dimensions"),
    "no-inputs": (
        lambda: ImgDataPreprocessor()({"img": 1}),
        TypeError,
        r"a dict with 'inputs', got a dict with \['img'\]",
    ),
    "strings": (lambda: ImgDataPreprocessor()({"inputs": ["a"]}), TypeError, "list of str; choose the collate_fn"),
}


@pytest.mark.parametrize(("make", "error", "match"), IMAGE_ERRORS.values(), ids=IMAGE_ERRORS)
def test_image_errors_name_the_shape(make, error, match):
    with pytest.raises(error, match=match):
        make()


class Mean(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return [sum(samples) / len(samples) for samples in data_samples_list]


class Echo(BaseModel):
    def forward(self, x, mode="tensor"):
        assert not torch.is_grad_enabled()
        return list(x)


@pytest.mark.parametrize(
    "data",
    [{"x": [[1.0, 2.0], [3.0, 6.0]]}, ([[1.0, 2.0], [3.0, 6.0]],), [[[1.0, 2.0], [3.0, 6.0]]]],
    ids=["dict", "tuple", "list"],
)
def test_tta_merges_the_predictions_of_each_sample(data):
    assert Mean(Echo()).test_step(data) == [2.0, 4.0]


def test_tta_from_config_and_bad_modules():
    MODELS.register_module(name="EchoForTest", module=Echo, force=True)
    assert isinstance(Mean({"type": "EchoForTest"}).module, Echo)
    with pytest.raises(TypeError, match="Linear has no test_step"):
        Mean(nn.Linear(1, 1))
    with pytest.raises(TypeError, match="module must be a config or a module, got int"):
        Mean(3)
    with pytest.raises(TypeError, match="takes a batch that is a dict, a tuple or a list, and not empty; got Tensor"):
        Mean(Echo()).test_step(torch.ones(1))
    with pytest.raises(NotImplementedError, match="Mean predicts through test_step"):
        Mean(Echo())(1)


def test_tta_gives_the_data_preprocessor_to_the_config_of_its_module():
    class Classifier(Echo):
        def __init__(self, data_preprocessor):
            super().__init__({"type": "BaseDataPreprocessor", **data_preprocessor})

    MODELS.register_module(name="ClassifierForTest", module=Classifier, force=True)
    module = {"type": "ClassifierForTest", "data_preprocessor": {"non_blocking": False}}
    model = Mean(module, data_preprocessor={"non_blocking": True})  # without a type, as libraries write it
    assert model.module.data_preprocessor._non_blocking
    assert module["data_preprocessor"] == {"non_blocking": False}


def test_tta_loads_a_checkpoint_of_the_model_that_it_wraps():
    class Net(Echo):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

    trained, model = Net(), Mean(Net())
    report = load_state_dict(model, trained.state_dict(), strict=True)
    assert report.fits and torch.equal(model.module.layer.weight, trained.layer.weight)


def test_no_value_is_read_on_the_way(monkeypatch):
    def fail(self):
        raise AssertionError("a value was read")

    model = Toy()
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    monkeypatch.setattr(torch.Tensor, "item", fail)
    monkeypatch.setattr(torch.Tensor, "__float__", fail)
    monkeypatch.setattr(torch.Tensor, "__bool__", fail)
    log_vars = model.train_step(batch(0, 1), wrapper)
    monkeypatch.undo()
    assert math.isfinite(log_vars["loss"].item())


def test_hooks_of_the_preprocessor_see_a_batch_that_needs_no_move():
    model, seen = Toy(), []
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    handle = model.data_preprocessor.register_forward_pre_hook(lambda module, args: seen.append(args[1]))
    model.train_step(tuple(batch(0, 1).values()), wrapper)
    handle.remove()
    model.train_step(tuple(batch(0, 1).values()), wrapper)
    assert seen == [True]
