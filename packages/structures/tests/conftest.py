from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from eng.structures import BaseDataElement, InstanceData

sys.path.insert(0, str(Path(__file__).parent))  # the tests import their helpers by name


@pytest.fixture
def element() -> BaseDataElement:
    return BaseDataElement(
        boxes=torch.arange(8.0).reshape(2, 4),
        array=np.ones(2),
        nested=InstanceData(scores=torch.ones(2)),
        many=[torch.zeros(1), {"x": torch.zeros(2)}],
        text="a",
        metainfo={"img_id": 3, "shape": [4, 5]},
    )
