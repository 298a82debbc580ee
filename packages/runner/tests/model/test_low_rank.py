"""Adapters of PEFT; tests/integration/outside trains with the library itself."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from eng.model import adapters
from eng.model.adapters import SupervisedModel, build_model, merged_model
from eng.model.errors import ModelTypeError


def test_a_missing_library_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"type='peft'.*pip install 'peft'"):
        build_model({"type": "peft", "model": nn.Linear(1, 1), "adapter": {"type": "LoraConfig"}})


def test_a_model_without_adapters_cannot_be_merged() -> None:
    with pytest.raises(ModelTypeError, match="SupervisedModel holds no adapters of PEFT"):
        merged_model(SupervisedModel(nn.Linear(1, 1), loss="MSELoss"))


def test_merging_works_on_a_copy_of_what_is_inside_of_wrappers() -> None:
    class Adapted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base, self.delta = nn.Linear(2, 1), nn.Linear(2, 1)

        def forward(self, x):
            return self.base(x) + self.delta(x)

        def merge_and_unload(self):
            for ours, added in zip(self.base.parameters(), self.delta.parameters(), strict=True):
                ours.data += added.data
            return self.base

    network = Adapted()
    before = network.base.weight.clone()
    merged = merged_model(adapters.adapt(network, loss="MSELoss"))
    x = torch.ones(3, 2)
    torch.testing.assert_close(merged(x), network(x))
    assert torch.equal(network.base.weight, before)
