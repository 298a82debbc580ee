from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from eng.evaluator import Evaluator

torchmetrics = pytest.importorskip("torchmetrics")


sys.path.insert(0, str(Path(__file__).parent))


def test_memory_is_that_of_the_state() -> None:
    evaluator = Evaluator(
        [dict(type="MulticlassConfusionMatrix", num_classes=3), dict(type="F1"), dict(type="Accuracy")]
    )

    def kept() -> int:
        states = [metric.state() for metric in evaluator.metrics]
        return len(json.dumps(states, default=lambda tensor: tensor.tolist() and "x" * tensor.numel()))

    sizes = set()
    for _ in range(20):
        evaluator.process({"preds": torch.randn(8, 3), "target": torch.randint(0, 3, (8,))})
        sizes.add(tuple(value.numel() for value in evaluator.metrics[1].state().values()))
        kept()
    assert sizes == {(3, 3, 3)}
