"""Helpers of the tests in several files beside this one."""

from __future__ import annotations

from torch import nn


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function, *, needs_values: bool = False) -> None:
        super().__init__()
        self.function, self.needs_values = function, needs_values

    def forward(self, *args):
        if self.needs_values:
            args[0].sum().item()  # meta tensors have no value to give: the run falls back to real ones
        return self.function(*args)
