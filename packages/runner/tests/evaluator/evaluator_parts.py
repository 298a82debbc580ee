"""What the tests beside ``test_evaluator.py`` share."""

from __future__ import annotations

from eng.evaluator import BaseMetric


class Echo(BaseMetric):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.got = []

    def process(self, data_batch, data_samples):
        self.got.append((data_batch, data_samples))
        self.results.append(1)

    def compute_metrics(self, results):
        return {"batches": len(self.got)}


class Returns(Echo):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def compute_metrics(self, results):
        return self.value
