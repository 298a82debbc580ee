from __future__ import annotations

import collections
import datetime as dt
import io
from argparse import Namespace

import numpy as np
import pytest
import torch
from old_checkpoints_parts import saved

from eng.checkpoint import read_checkpoint

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
