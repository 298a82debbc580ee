from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from instance_data_parts import Polygons
from structures_parts import numbers_in, sample

from eng.structures import FieldTypeError, FieldValueError, InstanceData, LengthError, PixelData


def test_taken_rows_do_not_share_metainfo() -> None:
    data = sample()
    data[:1].shape.append(3)
    assert data.shape == [1, 2]


def test_empty_element_has_no_rows() -> None:
    assert len(InstanceData()) == 0 and len(InstanceData()[:]) == 0 and len(InstanceData()[[]]) == 0
    with pytest.raises(IndexError, match="0"):
        InstanceData()[0]


def test_fields_are_reached_by_brackets() -> None:
    data = InstanceData()
    data["labels"] = torch.tensor([1, 2])
    assert data["labels"] is data.labels and data.keys() == ["labels"]


@pytest.mark.parametrize(
    ("act", "kind", "match"),
    [
        (lambda d: setattr(d, "x", torch.ones(2)), LengthError, "the length of values 2 is not consistent .* 3"),
        (lambda d: d.__setitem__("x", [1]), LengthError, ":obj:`InstanceData` 3 .field 'x'"),
        (lambda d: d.set_field([1], "x"), LengthError, "1"),
        (lambda d: InstanceData(a=[1], b=[1, 2]), LengthError, "field 'b'"),
        (lambda d: setattr(d, "x", 3), FieldTypeError, "field 'x': value must have a length, but got int"),
        (lambda d: InstanceData(x=torch.tensor(1)), FieldTypeError, "Tensor without dimensions"),
    ],
)
def test_fields_of_another_length_are_refused(act: Any, kind: type[Exception], match: str) -> None:
    data = InstanceData(a=[1, 2, 3], b="abc")
    with pytest.raises(kind, match=match):
        act(data)
    assert data.keys() == ["a", "b"]


def test_an_only_field_may_change_its_length() -> None:
    data = InstanceData(a=[1, 2])
    data.a = [1, 2, 3]
    assert len(data) == 3


def test_cat_joins_every_kind_of_field() -> None:
    joined = InstanceData.cat([sample(2), sample(0), sample(3)])
    assert numbers_in(joined) == [[0, 1, 0, 1, 2]] * 7
    assert joined.metainfo == {"shape": [1, 2]}
    alone = sample()
    assert InstanceData.cat([alone]) is alone
    assert InstanceData.cat([InstanceData(b=[1], a=[2]), InstanceData(a=[3], b=[4])]).a == [2, 3]


@pytest.mark.parametrize(
    ("items", "kind", "match"),
    [
        ([], FieldValueError, "empty"),
        ([InstanceData(), 3], FieldTypeError, r"\[1\] should be an InstanceData but got int"),
        ([3], FieldTypeError, r"\[0\] should be an InstanceData but got int"),
        ([PixelData(), PixelData()], FieldTypeError, r"\[0\] should be an InstanceData but got PixelData"),
        ([InstanceData(a=[1]), InstanceData(metainfo={"a": [1]})], FieldValueError, "item 1 has none"),
        (
            [InstanceData(a=[1]), InstanceData(b=[1])],
            FieldValueError,
            "same fields, but item 0 has a, but item 1 has b",
        ),
        ([InstanceData(a=[1]), InstanceData(a=[1], b=[1])], FieldValueError, "item 1 has a, b"),
        ([InstanceData(a=[1]), InstanceData(a=torch.ones(1))], FieldValueError, "field 'a': Tensor and list"),
        ([InstanceData(a=torch.ones(1)), InstanceData(a=[1])], FieldValueError, "field 'a': Tensor and list"),
        ([InstanceData(a=torch.ones(1, 2)), InstanceData(a=torch.ones(1, 3))], FieldValueError, "field 'a': .*ize"),
        ([InstanceData(a={1})] * 2, FieldValueError, "field 'a': .*no method cat"),
        ([InstanceData(b=[1], a=np.ones((1, i))) for i in (1, 2)], FieldValueError, "field 'a': .*dimension"),
    ],
)
def test_what_cannot_be_joined_is_named(items: list[Any], kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        InstanceData.cat(items)


def test_joined_element_shares_nothing_that_changes() -> None:
    first, second = sample(), sample()
    joined = InstanceData.cat([first, second])
    joined.shape.append(3)
    joined.boxes += 1
    joined.names.append(9)
    joined.set_metainfo({"more": 1})
    del joined.text
    assert first.shape == second.shape == [1, 2] and first.metainfo_keys() == ["shape"]
    assert numbers_in(first) == numbers_in(second) == [[0, 1, 2]] * 7


def test_classes_mix_where_fields_agree() -> None:
    class Tracks(InstanceData):
        pass

    joined = InstanceData.cat([Tracks(a=[1]), InstanceData(a=[2]), Tracks(a=[3])])
    assert type(joined) is Tracks and joined.a == [1, 2, 3]
    joined.b = "xyz"
    with pytest.raises(LengthError, match="field 'c'"):
        joined.c = [1]


def test_errors_of_a_users_cat_come_as_they_are() -> None:
    class Broken(Polygons):
        @staticmethod
        def cat(parts: list[Polygons]) -> Polygons:
            raise TypeError("mine")

    with pytest.raises(TypeError, match="^mine$"):
        InstanceData.cat([InstanceData(a=Broken([1]))] * 2)


def test_rows_of_a_class_without_cat_are_refused() -> None:
    with pytest.raises(FieldValueError, match=r"field 'a': .*no method cat"):
        InstanceData(a={1, 2})[[0]]


def test_subclasses_stay_themselves() -> None:
    class Tracks(InstanceData):
        pass

    assert type(Tracks(a=[1, 2])[:1]) is Tracks and type(Tracks.cat([Tracks(a=[1]), Tracks(a=[2])])) is Tracks


def test_gradients_flow_through_rows() -> None:
    boxes = torch.ones(3, 4, requires_grad=True)
    data = InstanceData(boxes=boxes)
    data[torch.tensor([True, False, True])].boxes.sum().backward()
    assert boxes.grad is not None and boxes.grad.sum(1).tolist() == [4, 0, 4]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_taking_and_joining_agree_with_lists(data: st.DataObject) -> None:
    """Second implementation: the same operations on one plain list."""
    rows = data.draw(st.lists(st.integers(0, 9), max_size=8))
    element, plain = (
        InstanceData(t=torch.tensor(rows, dtype=torch.long), n=list(rows), a=np.array(rows, dtype=int)),
        rows,
    )
    for _ in range(data.draw(st.integers(1, 4))):
        if data.draw(st.booleans()) and plain:
            numbers = data.draw(st.lists(st.integers(-len(plain), len(plain) - 1), max_size=6))
            element, plain = element[numbers], [plain[i] for i in numbers]
        else:
            mask = data.draw(st.lists(st.booleans(), min_size=len(plain), max_size=len(plain)))
            kept = element[torch.tensor(mask, dtype=torch.bool)]
            element = InstanceData.cat([kept, element])
            plain = [row for row, keep in zip(plain, mask, strict=True) if keep] + plain
    assert element.t.tolist() == element.n == element.a.tolist() == plain


def test_after_a_first_field_without_rows_any_length_is_taken() -> None:
    instances = InstanceData(boxes=torch.zeros(0, 4))
    instances.labels = torch.arange(3)
    assert len(instances) == 0 and instances.keys() == ["boxes", "labels"]
    assert len(InstanceData(boxes=[], labels=[1, 2]).labels) == 2
    with pytest.raises(LengthError, match="the length of values 0 is not consistent"):
        InstanceData(labels=[1, 2], boxes=[])
