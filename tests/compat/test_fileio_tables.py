from __future__ import annotations

import numpy as np
import pytest

from eng.compat.legacy import fileio_tables


def test_table_of_backends() -> None:
    assert fileio_tables.backends["local"].__name__ == "LocalBackend"
    assert {"local", "http", "lmdb", "memcached", "petrel"} <= set(fileio_tables.backends)
    assert fileio_tables.prefix_to_backends["http"] is fileio_tables.backends["http"]


def test_json_values_of_arrays_and_sets() -> None:
    assert fileio_tables.set_default(range(3)) == [0, 1, 2]
    assert fileio_tables.set_default(np.ones(2)) == [1.0, 1.0]
    with pytest.raises(TypeError, match="<class 'bytes'> is unsupported for json dump"):
        fileio_tables.set_default(b"x")
