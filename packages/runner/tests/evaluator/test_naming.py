from __future__ import annotations

from evaluator_parts import Returns


def test_nested_values_are_named_by_their_path():
    metric = Returns({"mean": 0.5, "per_class": {"cat": 0.25, "dog": {"left": 1}}})
    metric.prefix = "toy"
    metric.process(None, [1])
    assert metric.evaluate(1) == {"toy/mean": 0.5, "toy/per_class/cat": 0.25, "toy/per_class/dog/left": 1}
