from __future__ import annotations

import sys

import pytest

from eng import compat


@pytest.fixture(autouse=True)
def no_alias_is_left():
    yield
    compat.uninstall()
    assert not [name for name in sys.modules if name.partition(".")[0] == "mmengine"]
