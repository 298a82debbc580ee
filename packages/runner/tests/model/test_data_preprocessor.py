from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass, field

import pytest
import torch
from model_base_model_parts import Losses
from model_parts import Echo, Mean
from torch import nn

from eng.model import BaseDataPreprocessor, ImageShapeError, ImgDataPreprocessor
from eng.registry import MODELS
from eng.structures import BaseDataElement


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


def test_tta_gives_the_data_preprocessor_to_the_config_of_its_module():
    class Classifier(Echo):
        def __init__(self, data_preprocessor):
            super().__init__({"type": "BaseDataPreprocessor", **data_preprocessor})

    MODELS.register_module(name="ClassifierForTest", module=Classifier, force=True)
    module = {"type": "ClassifierForTest", "data_preprocessor": {"non_blocking": False}}
    model = Mean(module, data_preprocessor={"non_blocking": True})  # without a type, as libraries write it
    assert model.module.data_preprocessor._non_blocking
    assert module["data_preprocessor"] == {"non_blocking": False}


@dataclass(frozen=True)
class Batch:
    image: torch.Tensor
    name: str
    size: int = field(init=False, default=1)


class Graph:
    """Moves its parts itself, as graphs of PyTorch Geometric do."""

    def __init__(self, nodes):
        self.nodes = nodes

    def to(self, device):
        return Graph(self.nodes.to(device))


def test_objects_with_tensors_are_moved():
    cast = BaseDataPreprocessor().to("meta").cast_data
    batch = cast({"scan": Batch(torch.ones(1), "a"), "graph": Graph(torch.ones(2))})
    assert batch["scan"].image.is_meta
    assert (batch["scan"].name, batch["scan"].size) == ("a", 1)
    assert batch["graph"].nodes.is_meta


def test_a_packed_sequence_keeps_its_lengths_on_the_cpu():
    packed = nn.utils.rnn.pack_sequence([torch.ones(3, 2), torch.ones(1, 2)])
    moved = BaseDataPreprocessor().to("meta").cast_data(packed)
    assert moved.data.is_meta
    assert not moved.batch_sizes.is_meta


class Quantity:
    """A value whose ``to`` takes the name of a unit."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def to(self, unit):
        raise self.error(f"no unit {unit}")


# Measured with astropy 7 (TypeError) and pint 0.25 (AttributeError).
@pytest.mark.parametrize("error", [TypeError, ValueError, AttributeError])
def test_an_object_whose_to_takes_no_device_stays_as_it_is(error):
    quantity = Quantity(error)
    batch = BaseDataPreprocessor().to("meta").cast_data({"x": torch.ones(1), "length": [quantity]})
    assert batch["x"].is_meta
    assert batch["length"] == [quantity]


def test_an_error_of_a_device_is_not_hidden():
    with pytest.raises(RuntimeError, match="no unit meta"):
        BaseDataPreprocessor().to("meta").cast_data(Quantity(RuntimeError))


@dataclass
class Cached:
    image: torch.Tensor
    mask: torch.Tensor = field(init=False)


def test_a_field_that_is_not_set_yet_stays_so():
    cast = BaseDataPreprocessor().to("meta").cast_data(Cached(torch.ones(1)))
    assert cast.image.is_meta
    assert not hasattr(cast, "mask")
