"""`autocast`: the type in which operators compute."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eng.runner.amp import autocast


@pytest.mark.parametrize(("enabled", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_context_that_is_switched_off_switches_one_around_it_off(enabled: bool, dtype: torch.dtype) -> None:
    layer, images = nn.Conv2d(3, 2, 3), torch.ones(1, 3, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16), autocast(enabled=enabled):
        assert layer(images).dtype is dtype
    with autocast("cpu", enabled=enabled):
        assert layer(images).dtype is dtype
