from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from eng.evaluator import Evaluator

torchmetrics = pytest.importorskip("torchmetrics")


sys.path.insert(0, str(Path(__file__).parent))


@pytest.mark.parametrize(
    "samples",
    [
        [dict(pred_label=1, gt_label=1), dict(pred_label=0, gt_label=1)],
        [dict(pred=torch.tensor([1]), label=torch.tensor([1])), dict(pred=torch.tensor([0]), label=torch.tensor([1]))],
        dict(logits=torch.tensor([[0.0, 1.0], [1.0, 0.0]]), labels=torch.tensor([1, 1])),
    ],
    ids=["numbers", "tensors of one element", "batch"],
)
def test_usual_names_of_predictions(samples) -> None:
    evaluator = Evaluator([dict(type="MulticlassAccuracy", num_classes=2, average="micro"), dict(type="Accuracy")])
    evaluator.process(samples)
    assert evaluator.evaluate(2) == {"multiclass_accuracy": 0.5, "accuracy": 0.5}


def test_given_keys_prefix_and_name() -> None:
    inner = dict(type="torchmetrics.MeanSquaredError")
    evaluator = Evaluator(
        dict(type="TorchMetric", metric=inner, keys=dict(preds="depth", target="truth"), prefix="val", name="mse")
    )
    evaluator.process({"depth": torch.ones(2), "preds": torch.zeros(2)}, {"truth": torch.zeros(2)})
    assert evaluator.evaluate(2) == {"val/mse": 1.0}


def test_a_missing_key_names_those_there_are() -> None:
    message = r"needs preds, target of a batch, and 'target' is not there: .*keys 'preds'; the batch has 'img', 'cls'.*keys=dict"
    with pytest.raises(ValueError, match=message):
        Evaluator(dict(type="Accuracy")).process({"preds": torch.ones(1)}, {"img": 1, "cls": torch.ones(1)})
    with pytest.raises(ValueError, match=r"keys\['target'\]='truth' is not there"):
        Evaluator(dict(type="Accuracy", keys=dict(target="truth"))).process(torch.ones(1), (1, torch.ones(1)))
