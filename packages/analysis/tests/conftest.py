from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

from eng.analysis import get_model_complexity_info

# models.py is shared by the tests of this folder, which importlib mode does not put on the path.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def wrapped_resnet() -> dict:
    from models import ResNet50

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.resnet = ResNet50()

        def forward(self, images):
            return self.resnet(images)

    return get_model_complexity_info(Wrapped(), (3, 224, 224))
