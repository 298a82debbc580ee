"""What the tests beside ``test_transforms.py`` share."""

from __future__ import annotations

import torch


def image(height: int = 6, width: int = 8) -> torch.Tensor:
    return torch.arange(3 * height * width, dtype=torch.uint8).reshape(3, height, width)
