from __future__ import annotations

import sys
from pathlib import Path

import pytest

from eng import compat

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def no_alias_is_left():
    yield
    compat.uninstall()
    assert not [name for name in sys.modules if name.partition(".")[0] == "mmengine"]
