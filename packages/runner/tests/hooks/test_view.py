from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from eng.evaluator import Evaluator
from eng.hooks.view import CountsUnits, NamesSamples, provides
from eng.optim import OptimWrapper
from eng.runner.assemble.evaluation import build_evaluator
from eng.runner.assemble.optim import build_optim_wrapper


class Delegates:
    """As a wrapper of a user's around an object of a library: all attributes are those of the object."""

    def __init__(self, inner: object) -> None:
        self.__dict__["inner"] = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["inner"], name)


@pytest.mark.parametrize("wrap", [Delegates, lambda value: value], ids=["delegated", "its own"])
def test_methods_and_attributes_of_a_protocol_are_seen(wrap: Any) -> None:
    assert provides(wrap(SimpleNamespace(by="iter", sample_numbers=len)), CountsUnits)
    assert provides(wrap(SimpleNamespace(by="iter", sample_numbers=len)), NamesSamples)
    assert not provides(wrap(SimpleNamespace(unit="iter")), CountsUnits)


def test_parts_of_a_run_may_delegate() -> None:
    evaluator, model = Delegates(Evaluator([])), nn.Linear(1, 1)
    assert build_evaluator(evaluator) is evaluator
    wrapper = Delegates(OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1)))
    assert build_optim_wrapper(wrapper, model) is wrapper
