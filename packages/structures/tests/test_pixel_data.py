from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from eng.structures import FieldTypeError, FieldValueError, PixelData


@pytest.fixture
def maps() -> PixelData:
    return PixelData(
        image=np.arange(3 * 20 * 40).reshape(3, 20, 40), labels=torch.arange(800).reshape(20, 40), metainfo={"id": 1}
    )


def test_shape_and_channel(maps: PixelData) -> None:
    assert maps.shape == (20, 40) and PixelData().shape is None
    assert maps.labels.shape == (1, 20, 40)


@pytest.mark.parametrize(
    ("item", "rows", "columns"),
    [
        ((10, 20), slice(10, 11), slice(20, 21)),
        ((-1, -40), slice(19, 20), slice(0, 1)),
        ((slice(3, 5), np.int64(2)), slice(3, 5), slice(2, 3)),
        ((slice(None, None, 2), slice(30, 99)), slice(None, None, 2), slice(30, 40)),
    ],
)
def test_parts_are_those_of_the_arrays(maps: PixelData, item: Any, rows: slice, columns: slice) -> None:
    part = maps[item]
    assert np.array_equal(part.image, maps.image[:, rows, columns])
    assert torch.equal(part.labels, maps.labels[:, rows, columns])
    assert part.id == 1 and part.shape == part.image.shape[1:]


@pytest.mark.parametrize(
    ("item", "kind", "match"),
    [
        ((20, 0), IndexError, "index 20 .* height 20"),
        ((0, -41), IndexError, "index -41 .* width 40"),
        ((1, 2, 3), FieldValueError, "rows and columns, but got 3"),
        (("a", 1), FieldTypeError, "numbers or slices, but got str"),
        ((True, 1), FieldTypeError, "got bool"),
        (3, FieldTypeError, "rows and columns, but got int"),
    ],
)
def test_wrong_parts_are_named(maps: PixelData, item: Any, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        maps[item]


@pytest.mark.parametrize(
    ("value", "kind", "match"),
    [
        (torch.zeros(3, 20, 30), FieldValueError, r"height and width of values \(20, 30\) .*`PixelData` \(20, 40\)"),
        (torch.zeros(1, 3, 20, 40), FieldValueError, "The dim of value must be 2 or 3, but got 4"),
        (torch.zeros(40), FieldValueError, "but got 1"),
        ([1], FieldTypeError, "tensor or numpy array, but got list"),
    ],
)
def test_other_sizes_are_refused(maps: PixelData, value: Any, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=f"{match}.*field 'x'"):
        maps.x = value
    assert "x" not in maps


def test_empty_element_has_empty_parts() -> None:
    assert PixelData()[1, 2].keys() == []
