from __future__ import annotations

import pytest
import torch
from torch import nn

from eng.analysis import model_flops_per_iter, model_flops_utilization


def test_flops_of_an_iteration_and_utilization() -> None:
    per_iter = model_flops_per_iter(nn.Linear(8, 4), torch.zeros(2, 8))
    assert per_iter == 2 * 64 + 2 * 64
    assert model_flops_utilization(per_iter, 0.5, 1024) == 0.5
    with pytest.raises(ValueError, match="positive"):
        model_flops_utilization(1, 0, 1)
