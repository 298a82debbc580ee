"""What a checkpoint keeps of a run's facts: numbers, text, containers and tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eng.checkpoint._metainfo import restore_metainfo
from eng.logging._plain import NotPlainError, to_plain


@pytest.mark.parametrize("dtype", [">i4", ">f8", "<u2", "bool", "longdouble", "clongdouble", "complex64"])
def test_arrays_of_each_byte_order_and_length_become_tensors(dtype: str) -> None:
    array = np.array([[0, 1], [2, 3]]).astype(dtype).T  # not contiguous
    tensor = to_plain({"palette": array})["palette"]
    assert isinstance(tensor, torch.Tensor)
    assert tensor.tolist() == array.astype(complex if array.dtype.kind == "c" else float).tolist()


@pytest.mark.parametrize(
    ("number", "kind"), [(np.longdouble(0.5), float), (np.clongdouble(1j), complex), (np.int8(3), int)]
)
def test_numbers_of_numpy_become_pythons(number: np.generic, kind: type) -> None:
    assert type(to_plain(number)) is kind
    assert to_plain(number) == number


def test_what_is_not_plain_is_named() -> None:
    with pytest.raises(NotPlainError, match="builtins.object"):
        to_plain([object()])


def test_tensors_that_numpy_cannot_hold_stay_tensors() -> None:
    metainfo = {"a": torch.zeros(2, device="meta"), "b": torch.zeros(2, dtype=torch.bfloat16), "c": torch.ones(2)}
    checkpoint = {"meta": {"dataset_meta": metainfo}}
    restore_metainfo(checkpoint)
    kinds = {name: type(value) for name, value in checkpoint["meta"]["dataset_meta"].items()}
    assert kinds == {"a": torch.Tensor, "b": torch.Tensor, "c": np.ndarray}
