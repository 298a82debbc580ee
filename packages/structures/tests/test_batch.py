from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import _pytree as torch_tree

from eng.structures import BaseDataElement, FieldTypeError, FieldValueError, InstanceData, PixelData, collate, stack

Pair = namedtuple("Pair", "image sample")


def test_stack_adds_a_dimension_to_every_field() -> None:
    samples = [
        BaseDataElement(
            x=torch.full((3,), float(i)),
            a=np.ones(2) * i,
            inner=InstanceData(y=torch.ones(2) * i),
            text=str(i),
            metainfo={"id": i, "size": (2, 3), "grid": np.ones(2)},
        )
        for i in range(4)
    ]
    batch = stack(samples)
    assert torch.equal(batch.x, torch.stack([each.x for each in samples])) and batch.a.shape == (4, 2)
    assert batch.inner.y.shape == (4, 2) and batch.text == ["0", "1", "2", "3"]
    assert batch.id == [0, 1, 2, 3] and batch.size == (2, 3) and batch.grid.tolist() == [1, 1]
    assert stack([PixelData(m=torch.zeros(3, 4))] * 2).m.shape == (2, 1, 3, 4)


@pytest.mark.parametrize(
    ("samples", "kind", "match"),
    [
        ([], FieldValueError, "empty"),
        ([BaseDataElement(), InstanceData()], FieldTypeError, r"samples\[1\] is InstanceData"),
        ([BaseDataElement(a=1), BaseDataElement(b=1)], FieldValueError, r"samples\[0\] has a and samples\[1\] has b"),
        ([BaseDataElement(a=torch.ones(1)), BaseDataElement(a=torch.ones(2))], FieldValueError, "field 'a' cannot"),
        ([BaseDataElement(a=torch.ones(1)), BaseDataElement(a=3)], FieldValueError, "field 'a' cannot"),
    ],
)
def test_what_cannot_be_stacked_is_named(samples: list[Any], kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        stack(samples)


def test_collate_stacks_elements_wherever_they_are() -> None:
    def one(i: int) -> BaseDataElement:
        return BaseDataElement(x=torch.ones(2) * i)

    assert collate([one(0), one(1)]).x.shape == (2, 2)
    batch = collate([{"image": torch.zeros(3), "sample": one(i), "id": i} for i in range(3)])
    assert batch["image"].shape == (3, 3) and batch["sample"].x.shape == (3, 2) and batch["id"].tolist() == [0, 1, 2]
    batch = collate([Pair(torch.zeros(1), [one(0), one(1)]) for _ in range(2)])
    assert isinstance(batch, Pair) and batch.sample[1].x.shape == (2, 2)


@pytest.mark.timeout(120)
def test_compiled_code_takes_and_gives_elements() -> None:
    def double(data: InstanceData) -> InstanceData:
        return torch_tree.tree_map(lambda leaf: leaf * 2, data)

    def total(data: InstanceData) -> torch.Tensor:
        return data.boxes.sum() + data.scores.sum()

    data = InstanceData(boxes=torch.ones(3, 4), scores=torch.ones(3))
    assert torch.compile(total, backend="eager", fullgraph=True)(data).item() == 15
    doubled = torch.compile(double, backend="eager")(data)
    assert doubled.scores.tolist() == [2, 2, 2]
