from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch

import eng.dist as dist

Pair = namedtuple("Pair", "a b")


def test_cast_keeps_the_structure() -> None:
    data = OrderedDict(a=torch.ones(2), b=[torch.zeros(1), (torch.ones(1),)], c=Pair(torch.ones(1), torch.ones(2)))
    moved = dist.cast_data_device(data, torch.device("meta"))
    assert isinstance(moved, OrderedDict) and isinstance(moved["b"][1], tuple) and isinstance(moved["c"], Pair)
    assert dist.get_data_device(moved) == torch.device("meta")
    out = {"a": torch.zeros(2), "b": [torch.ones(1)]}
    result = dist.cast_data_device({"a": torch.ones(2), "b": [torch.zeros(1)]}, torch.device("cpu"), out)
    assert out["a"].tolist() == [1, 1] and out["b"][0].item() == 0 and result["a"] is out["a"]


@pytest.mark.parametrize(
    ("data", "out", "match"),
    [
        (torch.ones(1), [torch.ones(1)], "type of data, Tensor, but is list"),
        ([torch.ones(1)], [], "an item for each of data: 1, but has 0"),
        ({"a": torch.ones(1)}, {"b": torch.ones(1)}, r"same keys, but got \['a'\] and \['b'\]"),
        ("text", None, "but got str"),
        ([1], None, "but got int"),
    ],
)
def test_cast_refuses_what_does_not_fit(data: Any, out: Any, match: str) -> None:
    with pytest.raises(dist.CastError, match=match):
        dist.cast_data_device(data, torch.device("cpu"), out)


@pytest.mark.parametrize(
    ("data", "match"),
    [([], "no tensor at all"), ([torch.ones(1), torch.ones(1, device="meta")], "cpu, meta"), ("x", "got str")],
)
def test_device_of_mixed_data_is_an_error(data: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        dist.get_data_device(data)
