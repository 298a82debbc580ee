from __future__ import annotations

import pytest

from eng.dataset import Compose
from eng.registry import TRANSFORMS


def test_compose_runs_configs_and_callables_and_stops_at_none():
    @TRANSFORMS.register_module(force=True)
    class AddForDatasetTest:
        def __init__(self, by):
            self.by = by

        def __call__(self, data):
            return data + self.by

    assert Compose([{"type": "AddForDatasetTest", "by": 2}, lambda data: data * 10])(1) == 30
    assert Compose([lambda data: None, lambda data: 1 / 0])(1) is None
    assert Compose(None)(5) == 5
    assert "lambda" in repr(Compose([lambda data: data]))


def test_compose_refuses_a_config_that_builds_no_callable():
    TRANSFORMS.register_module(name="NothingToCall", module=lambda: 3, force=True)
    with pytest.raises(TypeError, match=r"pipeline\[0\]: 'NothingToCall' builds a int, not a callable"):
        Compose([{"type": "NothingToCall"}])
