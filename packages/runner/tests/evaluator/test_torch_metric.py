"""Metrics of torchmetrics give the one-process number on any number of ranks, and keep a state instead of samples."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from eng.evaluator import TorchMetric
from eng.registry import METRICS
from eng.runner.assemble.evaluation import build_evaluator

torchmetrics = pytest.importorskip("torchmetrics")
from _metric_cases import build, fitting_form, forms, leaves, metrics, number_of

sys.path.insert(0, str(Path(__file__).parent))


# (preds, target) are not enough for these, or their images must be larger than a fast test's.
WITHOUT_DATA = {
    "BinaryFairness", "BinaryGroupStatRates", "MultiScaleStructuralSimilarityIndexMeasure",
    "MulticlassRecallAtFixedPrecision", "MultilabelRecallAtFixedPrecision", "PeakSignalNoiseRatioWithBlockedEffect",
    "QualityWithNoReference", "SpatialDistortionIndex",
}  # fmt: skip


# NormalizedRootMeanSquaredError of torchmetrics 1.9 reads past its states with more than two ranks.
SHARES = ([1, 6], [0, 7], [5, 0, 2], [2, 2, 2, 1])


def over_ranks(kind: type, preds: torch.Tensor, target: torch.Tensor, shares: list[int]) -> list[float]:
    """The number that ranks with so many samples each compute, as :meth:`BatchMetric.evaluate` does."""
    of_ranks, start = [], 0
    for share in shares:
        metric = TorchMetric(build(kind))
        for batch in torch.arange(start, start + share).split(2) if share else ():
            metric.update(preds=preds[batch], target=target[batch])
        of_ranks.append(metric)
        start += share
    used = [metric for metric, share in zip(of_ranks, shares, strict=True) if share]
    if len(used) > 1:
        used[0].merge([metric.state() for metric in used])
    numbers = leaves(used[0].compute())
    used[0].reset()
    assert used[0].metric._update_count == 0
    return numbers


@pytest.mark.parametrize("name", list(metrics()))
def test_every_class_over_uneven_ranks(name) -> None:
    kind = metrics()[name]
    form = fitting_form(kind)
    if name in WITHOUT_DATA:
        assert form is None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        preds, target = list(forms(7))[form]
        expected = leaves(number_of(build(kind), preds, target))
        for shares in [split for split in SHARES if name != "NormalizedRootMeanSquaredError" or len(split) < 3]:
            got = over_ranks(kind, preds, target, shares)
            torch.testing.assert_close(
                torch.tensor(got), torch.tensor(expected), rtol=1e-6, atol=1e-6, equal_nan=True, msg=f"{name} {shares}"
            )


CONFIGS = [
    dict(type="torchmetrics.classification.MulticlassAccuracy", num_classes=3),
    dict(type="MulticlassConfusionMatrix", num_classes=3),
    dict(type="MulticlassAUROC", num_classes=3),
    dict(type="Accuracy"),
    dict(type="F1", average="none"),
]


@pytest.mark.timeout(300)
def test_over_processes(tmp_path) -> None:
    script = str(Path(__file__).with_name("_stateful_ranks.py"))
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", script, str(rank), str(tmp_path), json.dumps(CONFIGS)],
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(4)
    ]  # fmt: skip
    try:
        errors = [process.communicate(timeout=280)[1] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
            process.wait()
    assert [process.returncode for process in ranks] == [0] * 4, errors
    report = json.loads((tmp_path / "report.json").read_text())
    for size in (3, 7):
        for number in (2, 3, 4):
            got, expected = report[f"{number}/{size}"], report[f"1/{size}"]
            assert got.keys() == expected.keys()
            assert got == pytest.approx(expected, rel=1e-6, abs=1e-6), (number, size)


def test_objects_configs_and_collections_are_metrics() -> None:
    collection = torchmetrics.MetricCollection(
        {"mse": torchmetrics.MeanSquaredError(), "mae": torchmetrics.MeanAbsoluteError()}
    )
    for metric in (torchmetrics.MeanSquaredError(), [collection], dict(type="torchmetrics.MeanSquaredError")):
        evaluator = build_evaluator(metric)
        evaluator.process(torch.tensor([1.0, 2.0]), (torch.zeros(2), torch.tensor([1.0, 4.0])))
        evaluator.process(torch.tensor([1.0]), (torch.zeros(1), torch.tensor([1.0])))
        numbers = evaluator.evaluate(3)
        assert numbers.pop("mae", 2 / 3) == pytest.approx(2 / 3)
        assert list(numbers.values()) == [pytest.approx(4 / 3)]
        evaluator.process(torch.tensor([1.0]), (torch.zeros(1), torch.tensor([2.0])))
        assert next(iter(evaluator.evaluate(1).values())) == 1.0  # empty after each evaluation


def test_names_of_torchmetrics_are_registered_without_importing_it() -> None:
    code = (
        "import sys, eng.evaluator; from eng.registry import METRICS; assert 'MulticlassAUROC' in METRICS.module_dict; "
    )
    code += "assert 'torchmetrics' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert METRICS.get("Accuracy").__module__ == "eng.evaluator.shelf"


def test_an_object_that_ranks_cannot_reduce(monkeypatch) -> None:
    class Own:
        def update(self, preds): ...
        def compute(self):
            return 1

        def reset(self): ...

    metric = TorchMetric(Own())
    metric.process(None, {"preds": 1})
    assert metric.evaluate(1) == {"own": 1}
    monkeypatch.setattr("eng.evaluator.torch_metric.get_world_size", lambda: 2)
    with pytest.raises(TypeError, match="own cannot be reduced over ranks"):
        metric.state()


def test_what_is_no_metric() -> None:
    with pytest.raises(TypeError, match=r"int needs the methods update\(\), compute\(\) and reset\(\)"):
        TorchMetric(3)


def wrapped() -> list:
    """Metrics whose ``update(*args, **kwargs)`` names no argument, each with the number that it gives for 3 of 4 right."""
    from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy
    from torchmetrics.wrappers import ClasswiseWrapper, MinMaxMetric

    by_class = ClasswiseWrapper(MulticlassAccuracy(2, average=None), labels=["a", "b"])
    return [
        pytest.param(MinMaxMetric(BinaryAccuracy()), {"raw": 0.75, "min": 0.75, "max": 0.75}, id="MinMaxMetric"),
        pytest.param(by_class, {"multiclassaccuracy_a": 1.0, "multiclassaccuracy_b": 0.5}, id="ClasswiseWrapper"),
        pytest.param(BinaryAccuracy() + BinaryAccuracy(), {"compositional_metric": 1.5}, id="sum"),
    ]


@pytest.mark.parametrize(("metric", "expected"), wrapped())
def test_a_wrapper_takes_the_arguments_of_the_metric_inside(metric, expected) -> None:
    keeper = TorchMetric(metric)
    for _ in range(2):  # the second one after a reset
        for preds, target in (([0, 0], [0, 0]), ([1, 0], [1, 1])):
            keeper.process({"label": torch.tensor(target)}, {"preds": torch.tensor(preds)})
        assert keeper.evaluate(4) == pytest.approx(expected)
