from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from torch import nn

from eng.analysis import FlopAnalyzer


def layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 2))


X = torch.zeros(5, 4)


def test_an_error_after_one_that_was_caught_names_its_own_module() -> None:
    class Catches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Linear(9, 9)

        def forward(self, x):
            with suppress(RuntimeError):
                return self.part(x)
            return x

    class Fails(nn.Sequential):
        def forward(self, x):
            raise ZeroDivisionError(super().forward(x).shape)

    with pytest.raises(ZeroDivisionError) as caught:
        FlopAnalyzer(nn.Sequential(Fails(Catches())), X).total()
    if hasattr(caught.value, "__notes__"):  # Python 3.11
        assert "the forward of 0 (Fails) failed" in "".join(caught.value.__notes__)


def test_a_failing_forward_keeps_its_error_and_names_the_module() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught:
        FlopAnalyzer(nn.Sequential(layers()), torch.zeros(5, 9)).total()
    if hasattr(caught.value, "__notes__"):  # Python 3.11
        assert "0.0 (Linear)" in "".join(caught.value.__notes__)
    assert any("linear" in str(frame.path) for frame in caught.traceback)


def test_backward_of_a_frozen_model_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="requires a gradient"):
        FlopAnalyzer(layers().requires_grad_(False), X, backward=True).total()
