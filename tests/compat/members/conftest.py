from __future__ import annotations

import pytest

import eng.compat


@pytest.fixture(autouse=True)
def alias():
    with eng.compat.alias():
        yield
    eng.compat.reset_global_state()
