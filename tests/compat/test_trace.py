from __future__ import annotations

from eng.compat.utils import dl_utils


def test_nothing_is_traced_outside_of_a_trace() -> None:
    assert not dl_utils.is_jit_tracing()
