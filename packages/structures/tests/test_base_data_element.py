from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from eng.structures import (
    BaseDataElement,
    Field,
    FieldNameError,
    FieldTypeError,
    FieldValueError,
    InstanceData,
    MissingFieldError,
    PixelData,
)


class DetSample(BaseDataElement):
    """As libraries write it: properties over private fields."""

    @property
    def proposals(self) -> InstanceData:
        return self._proposals

    @proposals.setter
    def proposals(self, value: InstanceData) -> None:
        self.set_field(value, "_proposals", dtype=InstanceData)

    @proposals.deleter
    def proposals(self) -> None:
        del self._proposals


class FieldSample(BaseDataElement):
    proposals = Field(InstanceData)


def test_data_and_metainfo_are_kept_apart(element: BaseDataElement) -> None:
    assert element.keys() == ["boxes", "array", "nested", "many", "text"]
    assert element.metainfo_keys() == ["img_id", "shape"]
    assert element.all_keys() == element.metainfo_keys() + element.keys()
    assert dict(element.metainfo_items()) == element.metainfo == {"img_id": 3, "shape": [4, 5]}
    assert element.metainfo_values() == [3, [4, 5]]
    assert len(element.values()) == 5 and len(element.all_values()) == 7
    assert [key for key, _ in element.all_items()] == element.all_keys()
    assert "boxes" in element and "img_id" in element and "nothing" not in element
    assert element.get("img_id") == 3 and element.get("nothing", 7) == 7 and element.get("nothing") is None


@pytest.mark.parametrize(
    ("act", "kind", "match"),
    [
        (lambda e: BaseDataElement(a=1, metainfo={"a": 2}), FieldNameError, "'a' is meta information already"),
        (lambda e: setattr(e, "img_id", 1), FieldNameError, "'img_id' is meta information already"),
        (lambda e: e.set_metainfo({"boxes": 1}), FieldNameError, "'boxes' is data already"),
        (lambda e: setattr(e, "_data_fields", 1), FieldNameError, "'_data_fields' .* cannot be set"),
        (lambda e: delattr(e, "_metainfo_fields"), FieldNameError, "cannot be set or deleted"),
        (lambda e: setattr(e, "metainfo", 1), AttributeError, "metainfo"),
        (lambda e: e.set_metainfo([1]), FieldTypeError, r"set_metainfo\(\) takes a dict, got list"),
        (lambda e: e.set_data([1]), FieldTypeError, r"set_data\(\) takes a dict, got list"),
        (lambda e: e.update({}), FieldTypeError, r"update\(\) takes a BaseDataElement, got dict"),
        (
            lambda e: e.set_field(1, "x", dtype=str),
            FieldTypeError,
            "1 should be a <class 'str'> but got <class 'int'> .*field 'x'",
        ),
        (lambda e: e.set_field(1, "x", dtype=(str, list)), FieldTypeError, "1 should be a .* takes str or list"),
        (lambda e: e.set_field(1, "x", field_type="meta"), FieldValueError, "'data' or 'metainfo' but got 'meta'"),
        (lambda e: e.pop("boxs"), MissingFieldError, "no field 'boxs'.*did you mean 'boxes'"),
        (lambda e: e.pop("boxs"), KeyError, "boxs"),
        (lambda e: e.pop(), FieldTypeError, "0 arguments"),
        (lambda e: e.pop("a", 1, 2), FieldTypeError, "3 arguments"),
        (lambda e: e.boxs, AttributeError, "did you mean 'boxes'"),
        (lambda e: delattr(e, "nothing"), MissingFieldError, "nothing"),
        (lambda e: e["boxes"], TypeError, "not subscriptable"),
        (lambda e: BaseDataElement(1), TypeError, "positional"),
    ],
)
def test_mistakes_are_named(element: BaseDataElement, act: Any, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        act(element)


def test_errors_are_what_code_for_the_reference_catches() -> None:
    assert issubclass(FieldTypeError, AssertionError) and issubclass(FieldValueError, AssertionError)
    assert issubclass(MissingFieldError, AttributeError) and issubclass(MissingFieldError, KeyError)


def test_fields_come_and_go(element: BaseDataElement) -> None:
    element.text = "b"
    element.set_metainfo({"img_id": 4})
    assert element.text == "b" and element.img_id == 4
    del element.text
    del element.shape
    assert element.pop("img_id") == 4 and element.pop("img_id", None) is None
    assert element.metainfo_keys() == [] and "text" not in element and not hasattr(element, "text")


def test_metainfo_is_copied_from_its_source() -> None:
    source = {"shape": [1, 2]}
    element = BaseDataElement(metainfo=source)
    source["shape"].append(3)
    assert element.shape == [1, 2]


def test_new_takes_what_is_not_given(element: BaseDataElement) -> None:
    other_info = element.new(metainfo={"img_id": 9})
    assert other_info.metainfo == {"img_id": 9} and other_info.boxes is element.boxes
    other_data = element.new(labels=[1])
    assert other_data.keys() == ["labels"] and other_data.img_id == 3


def test_clone_shares_nothing_and_keeps_the_gradient(element: BaseDataElement) -> None:
    element.boxes.requires_grad_()
    twin = element.clone()
    twin.many[1]["x"] += 1
    twin.nested.scores += 1
    twin.array += 1
    twin.shape.append(6)
    assert element.many[1]["x"].sum() == 0 and element.nested.scores.tolist() == [1, 1]
    assert element.array.tolist() == [1, 1] and element.shape == [4, 5]
    twin.boxes.sum().backward()
    assert element.boxes.grad is not None
    assert BaseDataElement(x=element.boxes * 2).clone().x.requires_grad  # not a leaf: deepcopy would refuse it


def test_update_merges_both_kinds(element: BaseDataElement) -> None:
    target = BaseDataElement(text="old", metainfo={"img_id": 1})
    target.update(element)
    assert target.text == "a" and target.img_id == 3 and target.keys()[0] == "text"


def test_tensor_methods_reach_nested_values(element: BaseDataElement) -> None:
    half = element.to(torch.float16)
    assert half.boxes.dtype == half.nested.scores.dtype == half.many[1]["x"].dtype == torch.float16
    assert half.array is element.array and half.text == "a" and half.metainfo == element.metainfo
    assert element.boxes.dtype == torch.float32
    meta = element.to("meta")
    assert {meta.boxes.device.type, meta.nested.scores.device.type, meta.many[0].device.type} == {"meta"}
    assert element.cpu().boxes.device.type == "cpu"
    element.boxes.requires_grad_()
    assert not element.detach().boxes.requires_grad
    arrays = element.numpy()
    assert isinstance(arrays.boxes, np.ndarray) and isinstance(arrays.nested.scores, np.ndarray)
    back = arrays.to_tensor()
    assert torch.equal(back.boxes, element.boxes) and isinstance(back.array, torch.Tensor)
    assert BaseDataElement(x=torch.ones(1, dtype=torch.bfloat16)).numpy().x.dtype == np.float32
    assert element.to_dict()["nested"]["scores"].tolist() == [1, 1] and element.to_dict()["img_id"] == 3


@pytest.mark.parametrize("method", ["cuda", "npu", "mlu", "musa", "pin_memory"])
def test_moves_call_the_method_of_every_value(method: str) -> None:
    moved = type("Moved", (), {method: lambda self: "moved"})()
    assert getattr(BaseDataElement(x=moved, y=1), method)().items().__next__() == ("x", "moved")


@pytest.mark.parametrize("kind", [DetSample, FieldSample])
def test_typed_fields_have_public_names_only(kind: type[BaseDataElement]) -> None:
    sample = kind(proposals=InstanceData(boxes=torch.ones(2, 4)))
    assert sample.keys() == ["proposals"] and "proposals" in sample and "_proposals" in sample
    assert sample.get("proposals") is sample.proposals
    with pytest.raises(
        FieldTypeError, match="should be a .*InstanceData.* but got .*Tensor.*'proposals' takes InstanceData"
    ):
        sample.proposals = torch.ones(2)
    twin = sample.clone()
    assert twin.proposals is not sample.proposals and twin.keys() == ["proposals"]
    assert len(sample.new(proposals=InstanceData(a=[1])).proposals) == 1
    assert len(sample.pop("proposals")) == 2 and sample.keys() == []
    sample.proposals = InstanceData()
    del sample.proposals
    assert "proposals" not in sample and not hasattr(sample, "proposals")


def test_metainfo_can_hide_behind_a_property() -> None:
    class Sized(BaseDataElement):
        @property
        def size(self) -> int:
            return self._size

        @size.setter
        def size(self, value: int) -> None:
            self.set_field(value, "_size", int, "metainfo")

    sample = Sized(size=3)
    assert sample.metainfo == {"size": 3} and sample.keys() == []


def test_property_with_a_place_of_its_own_is_data() -> None:
    class Odd(BaseDataElement):
        @property
        def boxes(self) -> Any:
            return self._kept_elsewhere

        @boxes.setter
        def boxes(self, value: Any) -> None:
            self.set_field(value, "_kept_elsewhere")

    assert "boxes" in Odd(boxes=1) and Odd(boxes=1).clone().boxes == 1


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_are_independent(element: BaseDataElement, duplicate: Any) -> None:
    twin = duplicate(element)
    twin.extra = 1
    twin.set_metainfo({"more": 2})
    assert "extra" not in element and "more" not in element
    assert twin.keys() == [*element.keys(), "extra"] and torch.equal(twin.boxes, element.boxes)


def test_pickles_with_plain_sets_are_read() -> None:
    # The state that MMEngine 0.10.7 pickles.
    element = BaseDataElement.__new__(BaseDataElement)
    element.__setstate__({"_metainfo_fields": {"id"}, "_data_fields": {"x"}, "id": 1, "x": 2})
    element.y = 3
    assert element.keys() == ["x", "y"] and element.metainfo == {"id": 1}


def test_dataloader_workers_hand_over_elements() -> None:
    data = [PixelData(image=torch.full((1, 2, 2), float(i)), metainfo={"i": i}) for i in range(4)]
    loader: Any = torch.utils.data.DataLoader(data, batch_size=2, num_workers=1, collate_fn=list)  # type: ignore[arg-type]
    assert [sample.i for batch in loader for sample in batch] == [0, 1, 2, 3]


def test_elements_are_pinned_by_their_own_method() -> None:
    # What a DataLoader with pin_memory=True calls on a batch; the call itself needs an accelerator.
    from torch.utils.data._utils.pin_memory import pin_memory

    moved: Any = type("Moved", (), {"pin_memory": lambda self: "pinned"})()
    batch = pin_memory([BaseDataElement(x=moved, inner=BaseDataElement(y=moved), metainfo={"id": 1})])
    assert batch[0].x == batch[0].inner.y == "pinned" and batch[0].id == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_dataloader_pins_memory() -> None:
    data = [BaseDataElement(x=torch.ones(2), inner=InstanceData(y=torch.ones(1)))] * 2
    loader: Any = torch.utils.data.DataLoader(data, batch_size=2, pin_memory=True, collate_fn=list)  # type: ignore[arg-type]
    for batch in loader:
        assert batch[0].x.is_pinned() and batch[0].inner.y.is_pinned()
    assert data[0].cuda().inner.y.is_cuda


@pytest.mark.parametrize("name", ["new", "keys", "items", "to", "get", "all_keys"])
def test_a_field_may_hide_a_method(name: str) -> None:
    with pytest.warns(UserWarning, match=rf"the field '{name}' hides the method {name}\(\) of this BaseDataElement"):
        element = BaseDataElement(a=torch.ones(2), **{name: torch.zeros(2)})
    assert BaseDataElement.keys(element) == ["a", name]
    assert torch.equal(getattr(element, name), torch.zeros(2))
    assert name in repr(element) and set(BaseDataElement.to_dict(element)) == {"a", name}
    moved = BaseDataElement.to(element, torch.float64)
    assert getattr(moved, name).dtype == torch.float64
    assert BaseDataElement.keys(pickle.loads(pickle.dumps(element))) == ["a", name]


def test_get_reads_fields_properties_and_methods_as_getattr_does(element: BaseDataElement) -> None:
    assert element.get("metainfo") == element.metainfo
    assert element.get("keys")() == element.keys()
    assert element.get("nothing", 7) == 7


@pytest.mark.parametrize("names", [set, list, dict.fromkeys], ids=["set", "list", "dict"])
def test_the_dict_may_be_assigned_as_reducers_of_libraries_do(names: Any) -> None:
    state = {
        "_metainfo_fields": names(["img_id"]),
        "_data_fields": names(["boxes"]),
        "img_id": 3,
        "boxes": torch.ones(2),
    }
    element = BaseDataElement()
    element.__dict__ = state
    state["boxes"] = torch.zeros(2)  # mmpretrain's reducer turns arrays into tensors in the dict that it has assigned
    assert element.keys() == ["boxes"] and element.metainfo == {"img_id": 3}
    assert torch.equal(element.boxes, torch.zeros(2))
    element.scores = torch.ones(1)
    assert element.keys() == ["boxes", "scores"] and element.clone().keys() == ["boxes", "scores"]


def test_dunder_names_are_no_fields() -> None:
    class Sample(BaseDataElement):
        pass

    element = BaseDataElement(a=1)
    element.__class__ = Sample
    element.__orig_class__ = list[int]
    assert type(element) is Sample and element.keys() == ["a"] and element.__orig_class__ == list[int]
    del element.__orig_class__
    assert not hasattr(element, "__orig_class__")
