"""The analyzers' settings, as MMEngine's analyzers have them."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from eng.analysis import ActivationAnalyzer, FlopAnalyzer


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.alias = self.first
        self.unused = nn.Linear(2, 2)

    def forward(self, inputs):
        return torch.erfinv(self.first(inputs))


class Borrower(nn.Module):
    """Runs a module that belongs to another one."""

    def __init__(self, borrowed):
        super().__init__()
        self.borrowed = [borrowed]  # a list: no child

    def forward(self, inputs):
        return self.borrowed[0](inputs)


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.owner = nn.Sequential(nn.Linear(3, 4))
        self.user = Borrower(self.owner[0])

    def forward(self, inputs):
        return self.user(inputs)


@pytest.mark.parametrize("kind", [FlopAnalyzer, ActivationAnalyzer])
def test_settings_give_the_analyzer(kind):
    analyzer = kind(Shared(), torch.ones(2, 3))
    assert analyzer.unsupported_ops_warnings(False) is analyzer
    assert analyzer.uncalled_modules_warnings(False) is analyzer
    assert analyzer.tracer_warnings("none") is analyzer
    assert analyzer.ancestor_mode("caller") is analyzer
    with pytest.raises(ValueError, match="should be one of .* got 'bad'"):
        analyzer.tracer_warnings("bad")
    with pytest.raises(ValueError, match="should be 'owner' or 'caller', got 'bad'"):
        analyzer.ancestor_mode("bad")


def test_canonical_name_is_the_first_one():
    analyzer = FlopAnalyzer(Shared(), torch.ones(2, 3))
    assert [analyzer.canonical_module_name(name) for name in ("", "first", "alias")] == ["", "first", "first"]
    with pytest.raises(KeyError, match="no module 'frist'; did you mean"):
        analyzer.canonical_module_name("frist")


def test_copy_keeps_class_and_handles():
    analyzer = FlopAnalyzer(Shared(), torch.ones(2, 3)).set_op_handle("aten::erfinv", lambda inputs, outputs: 1000)
    assert analyzer.total() == 2 * 3 * 4 + 1000
    larger = analyzer.copy(new_inputs=torch.ones(4, 3))
    assert type(larger) is FlopAnalyzer
    assert larger.total() == 4 * 3 * 4 + 1000
    assert analyzer.copy(new_model=nn.Linear(3, 5)).total() == 2 * 3 * 5
    larger.set_op_handle("aten::erfinv", None)
    assert (larger.total(), analyzer.total()) == (4 * 3 * 4, 2 * 3 * 4 + 1000)


@pytest.mark.parametrize(("mode", "owner", "user"), [("caller", 0, 24), ("owner", 24, 0)])
def test_ancestors_are_callers_or_owners(mode, owner, user):
    counts = FlopAnalyzer(Whole(), torch.ones(2, 3)).ancestor_mode(mode).by_module()
    assert (counts[""], counts["owner.0"], counts["owner"], counts["user"]) == (24, 24, owner, user)


def test_warnings_are_on_request(caplog):
    with caplog.at_level(logging.WARNING):
        FlopAnalyzer(Shared(), torch.ones(2, 3)).total()
        assert not caplog.records
        FlopAnalyzer(Shared(), torch.ones(2, 3)).unsupported_ops_warnings(True).uncalled_modules_warnings(True).total()
    assert [record.getMessage() for record in caplog.records] == [
        "Unsupported operator aten::erfinv encountered 1 time(s)",
        "modules that never ran, so that their counts are zero: unused",
    ]
