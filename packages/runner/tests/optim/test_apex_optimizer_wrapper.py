from __future__ import annotations

import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from eng.optim import ApexOptimWrapper


@pytest.fixture
def apex(monkeypatch):
    """A stand-in for apex.amp that notes what it is asked for."""
    calls = []

    @contextmanager
    def scale_loss(loss, optimizer):
        yield loss * 1

    def initialize(model, optimizer, **settings):
        calls.append((type(model).__name__, settings["opt_level"]))
        optimizer._amp_stash = True
        return model, optimizer

    amp_module = ModuleType("apex.amp")
    amp_module.__dict__.update(
        scale_loss=scale_loss,
        initialize=initialize,
        state_dict=lambda: {"scale": 2.0},
        load_state_dict=lambda state: calls.append(("loaded", state)),
    )
    package = ModuleType("apex")
    package.amp = amp_module
    monkeypatch.setitem(sys.modules, "apex", package)
    monkeypatch.setitem(sys.modules, "apex.amp", amp_module)
    return SimpleNamespace(calls=calls)


class TestApex:
    def test_hands_the_model_to_apex_once(self, apex):
        model = nn.Linear(2, 1)
        wrapper = ApexOptimWrapper(opt_level="O1", optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
        wrapper.load_state_dict(wrapper.state_dict())
        assert apex.calls == []
        for _ in range(2):
            with wrapper.optim_context(nn.DataParallel(model)):
                wrapper.update_params(model(torch.ones(1, 2)).sum())
        assert apex.calls == [("Linear", "O1"), ("loaded", {"scale": 2.0})]
        wrapper.load_state_dict(wrapper.state_dict())
        assert apex.calls[-1] == ("loaded", {"scale": 2.0})
        assert wrapper.update_count == 2

    def test_an_optimizer_that_apex_prepared_before_is_not_prepared_again(self, apex):
        model = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        optimizer._amp_stash = True
        wrapper = ApexOptimWrapper(optimizer=optimizer)
        with wrapper.optim_context(model):
            wrapper.update_params(model(torch.ones(1, 2)).sum())
        assert apex.calls == []

    def test_without_apex_it_says_what_to_do(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "apex", None)
        with pytest.raises(ImportError, match="AmpOptimWrapper needs nothing"):
            ApexOptimWrapper(optimizer=torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1))
