"""The metrics of the shelf give the numbers of torchmetrics and of closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from eng.evaluator import F1, Accuracy, MeanSquaredError, Perplexity


def batches(count: int = 5):
    generator = torch.Generator().manual_seed(3)
    for size in range(1, count + 1):
        yield torch.randn(size, 4, generator=generator), torch.randint(0, 4, (size,), generator=generator)


def fed(metric, pairs):
    for preds, target in pairs:
        metric.update(preds, target)
    return metric.compute()


@pytest.mark.parametrize("k", [1, 2])
def test_accuracy_equals_torchmetrics(k) -> None:
    classification = pytest.importorskip("torchmetrics.classification")
    theirs = classification.MulticlassAccuracy(num_classes=4, top_k=k, average="micro")
    name = "accuracy" if k == 1 else "accuracy_top2"
    assert fed(Accuracy(topk=k), batches())[name] == pytest.approx(fed(theirs, batches()).item(), abs=1e-6)


@pytest.mark.parametrize("average", ["macro", "micro", "none"])
def test_f1_equals_torchmetrics(average) -> None:
    classification = pytest.importorskip("torchmetrics.classification")
    theirs = fed(classification.MulticlassF1Score(num_classes=4, average=average), batches())
    assert fed(F1(average=average), batches()) == pytest.approx(theirs.tolist(), abs=1e-6)


def test_f1_of_scores_of_one_class() -> None:
    scores, target = torch.tensor([0.9, 0.6, 0.2, 0.4]), torch.tensor([1, 0, 0, 1])
    assert fed(F1(average="binary"), [(scores, target)]) == 2 * 1 / (2 * 1 + 1 + 1)
    assert fed(F1(average="binary", threshold=0.3), [(scores, target)]) == pytest.approx(2 * 2 / (2 * 2 + 1))


def test_labels_that_grow() -> None:
    pairs = [(torch.tensor([0, 1]), torch.tensor([0, 0])), (torch.tensor([5]), torch.tensor([5]))]
    assert fed(F1(average="none"), pairs) == pytest.approx([2 / 3, 0, 0, 0, 0, 1])


def test_ignored_labels_do_not_count() -> None:
    pairs = [(torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]), torch.tensor([1, 255, 1]))]
    assert fed(Accuracy(ignore_index=255), pairs) == {"accuracy": 0.5}


def test_mean_squared_error_and_its_root() -> None:
    pairs = [(torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 4.0])), (torch.tensor([3.0]), torch.tensor([0.0]))]
    assert fed(MeanSquaredError(), pairs) == pytest.approx(13 / 3)
    assert fed(MeanSquaredError(squared=False), pairs) == pytest.approx(math.sqrt(13 / 3))


@pytest.mark.parametrize("shift", [False, True])
def test_perplexity(shift) -> None:
    generator = torch.Generator().manual_seed(4)
    logits, tokens = torch.randn(2, 5, 7, generator=generator), torch.randint(0, 7, (2, 5), generator=generator)
    tokens[0, 3] = -100
    log_probabilities = logits.double().log_softmax(-1)
    start = 1 if shift else 0
    terms = [
        log_probabilities[n, t - start, tokens[n, t]].item()
        for n in range(2)
        for t in range(start, 5)
        if tokens[n, t] != -100
    ]
    assert fed(Perplexity(shift=shift), [(logits, tokens)]) == pytest.approx(
        math.exp(-sum(terms) / len(terms)), rel=1e-9
    )


@pytest.mark.parametrize(
    ("metric", "preds", "target", "message"),
    [
        (
            Accuracy(topk=5),
            torch.ones(2),
            torch.ones(2),
            r"accuracy of the best 5: scores \(N, C\) are needed, got \(2,\)",
        ),
        (
            Accuracy(),
            torch.ones(3),
            torch.ones(2),
            r"accuracy of the best 1: .* got \(3,\) for targets of shape \(2,\)",
        ),
        (MeanSquaredError(), torch.ones(2, 3), torch.ones(3, 2), r"preds \(2, 3\) and target \(3, 2\) differ in shape"),
    ],
    ids=["labels for topk", "lengths", "shapes"],
)
def test_shapes_that_do_not_fit(metric, preds, target, message) -> None:
    with pytest.raises(ValueError, match=message):
        metric.update(preds, target)


def test_an_unknown_average() -> None:
    with pytest.raises(ValueError, match="average is 'macro', 'micro', 'binary' or 'none', not 'mean'"):
        F1(average="mean")
