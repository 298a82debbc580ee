"""Each function on the names of torchmetrics that it hides: a torchmetrics that renames one of them fails here."""

from __future__ import annotations

import warnings

import pytest
import torch

from eng.evaluator import _torchmetrics_internals as internals

torchmetrics = pytest.importorskip("torchmetrics")


def test_metrics_are_those_of_torchmetrics():
    mean, maximum = torchmetrics.MeanMetric(), torchmetrics.MaxMetric()
    both = mean + maximum
    assert set(internals.metrics_in(both)) == {both, mean, maximum}
    assert internals.metrics_in(torch.nn.Linear(1, 1)) == []
    assert internals.metrics_in(object()) == []


def test_reductions_are_the_rules_by_state():
    rules = internals.reductions(torchmetrics.MeanMetric())
    assert {name: rule(torch.tensor([1.0, 2.0])).item() for name, rule in rules.items()} == {
        "mean_value": 3.0,
        "weight": 3.0,
    }


def test_a_noted_update_is_computed_anew_and_without_a_warning():
    metric = torchmetrics.SumMetric()
    metric.update(1.0)
    assert metric.compute().item() == 1.0
    metric.sum_value = torch.tensor(5.0)
    internals.note_update(metric, 7)
    assert metric.compute().item() == 5.0
    assert metric.update_count == 7
    fresh = torchmetrics.SumMetric()
    internals.note_update(fresh, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.compute()
