from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def logger_of_eng_is_restored():
    """The handlers and the level that a Runner gives the logger ``eng`` would hide messages from the next test."""
    top = logging.getLogger("eng")
    handlers, level = list(top.handlers), top.level
    yield
    top.handlers[:] = handlers
    top.setLevel(level)
