from __future__ import annotations

import numpy as np

from eng.dataset._serialize import pack, take, unpack


def test_records_come_back_as_new_objects():
    records = [{"a": [1, 2]}, "text", None, {"b": np.arange(3)}]
    data, ends = pack(list(records))
    assert unpack(data, ends, 0) == {"a": [1, 2]} and unpack(data, ends, 2) is None
    assert unpack(data, ends, 3)["b"].tolist() == [0, 1, 2]
    first = unpack(data, ends, 0)
    first["a"].append(3)
    assert unpack(data, ends, 0) == {"a": [1, 2]}
    assert (data.dtype, ends.dtype, len(ends)) == (np.uint8, np.int64, 4)


def test_no_records_make_an_empty_index():
    data, ends = pack([])
    assert len(data) == 0 and len(ends) == 0
    data, ends = take(data, ends, [])
    assert len(ends) == 0


def test_take_gives_records_in_the_order_asked():
    data, ends = pack(list(range(10)))
    some = take(data, ends, [7, 0, 7])
    assert [unpack(*some, place) for place in range(3)] == [7, 0, 7]
