from __future__ import annotations

import collections
import datetime as dt
import io
from argparse import Namespace

import numpy as np
import pytest
import torch
from old_checkpoints_parts import saved

from eng.checkpoint import BrokenCheckpointError, read_checkpoint

PARAMETER = torch.nn.Parameter(torch.ones(3))


VALUES = {
    "batch-norm": torch.nn.BatchNorm1d(3).state_dict(),
    "optimizer": torch.optim.AdamW([PARAMETER]).state_dict(),
    "array": np.arange(6.0).reshape(2, 3), "fortran-array": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "text-array": np.array(["ab", "c"]), "bytes-array": np.array([b"ab"]), "bool-array": np.array([True, False]),
    "float16-scalar": np.float16(2), "numpy-type": np.dtype("f4"), "counter": collections.Counter("aab"),
    "deque": collections.deque([1, 2], 3), "range": range(3), "slice": slice(1, None), "bytearray": bytearray(b"ab"),
    "datetime": dt.datetime(2026, 11, 1, 1, 30, tzinfo=dt.timezone.utc, fold=1),
    "date": dt.date(2026, 1, 2), "time": dt.time(1, 2, 3, 4), "duration": dt.timedelta(1, 2, 3),
    "namespace": Namespace(a=1, b=[2]), "large": 10**30, "complex": 1 + 2j, "device": torch.device("cuda:0"),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_as_torch_gives_them(name):
    expected = torch.load(io.BytesIO(saved(VALUES[name], True).getvalue()), weights_only=False)
    loaded = read_checkpoint(saved(VALUES[name], True))
    assert type(loaded) is type(expected)
    assert repr(loaded) == repr(expected)
    assert getattr(loaded, "_metadata", None) == getattr(expected, "_metadata", None)


class Slotted:
    __slots__ = ("x",)


class HalfSlotted(Slotted):
    pass


class WithAttributes:
    def __reduce__(self):
        return WithAttributes, (), 3  # a state that no object has


def test_attributes_in_slots_of_a_type_that_the_user_declared_safe_come_back():
    slotted, half = Slotted(), HalfSlotted()
    slotted.x = half.x = 3
    half.y = torch.ones(2)
    with torch.serialization.safe_globals([Slotted, HalfSlotted, WithAttributes]):
        loaded = read_checkpoint(saved([slotted, half], True))
        assert (loaded[0].x, loaded[1].x, loaded[1].y.tolist()) == (3, 3, [1.0, 1.0])
        with pytest.raises(BrokenCheckpointError, match="a WithAttributes whose state is a int"):
            read_checkpoint(saved(WithAttributes(), True))
