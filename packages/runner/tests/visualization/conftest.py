from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from going_on_parts import run
from protocol_parts import Plain

from eng.registry import VISBACKENDS
from eng.visualization import Visualizer


@pytest.fixture
def plain():
    with VISBACKENDS.isolated():
        VISBACKENDS.register_module(module=Plain, name="PlainOfThisTest")
        yield "PlainOfThisTest"


@pytest.fixture
def visualizer() -> Visualizer:
    return Visualizer(image=np.full((60, 80, 3), 100, np.uint8))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("whole"), "20260101_000000")
