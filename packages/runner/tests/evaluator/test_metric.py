from __future__ import annotations

import pickle

import pytest
import torch
from evaluator_parts import Echo, Returns

from eng.evaluator import DumpResults, Evaluator
from eng.evaluator.metric import _to_cpu
from eng.structures import BaseDataElement


@pytest.mark.parametrize(
    ("value", "returned"),
    [(0.5, r"0\.5 \(a float\)"), (torch.tensor(0.5), r"tensor\(0\.5000\) \(a Tensor\)"), (None, "a NoneType"), ([1], "a list")],
    ids=["float", "tensor", "None", "list"],
)  # fmt: skip
@pytest.mark.parametrize("prefix", [None, "toy"])
def test_a_metric_that_returns_no_dict_is_named(value, returned, prefix):
    metric = Returns(value)
    metric.prefix = prefix
    metric.process(None, [1])
    message = rf"Returns.compute_metrics must return a dict of numbers by name, .*; it returned {returned}"
    with pytest.raises(TypeError, match=message):
        metric.evaluate(1)


def test_only_several_metrics_without_prefix_are_warned_of(caplog, tmp_path):
    Evaluator(Echo())
    Evaluator([Echo(), Echo(prefix="a")])
    Evaluator([Echo(), DumpResults(str(tmp_path / "a.pkl"))])
    assert "prefix" not in caplog.text
    Evaluator([Echo(), Returns(1)])
    assert "Echo and Returns have no prefix" in caplog.text


class TestMetric:
    def test_no_results_is_a_warning(self, caplog):
        class Empty(Echo):
            def process(self, data_batch, data_samples):
                pass

        assert Empty().evaluate(0) == {"batches": 0}
        assert "Empty got no results" in caplog.text

    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [({"collect_device": "tpu"}, "'tpu'"), ({"collect_device": "gpu", "collect_dir": "x"}, "collect_dir")],
    )
    def test_bad_settings(self, kwargs, match):
        with pytest.raises(ValueError, match=match):
            Echo(**kwargs)

    def test_a_device_that_there_is_not_is_the_error_of_mmengine_too(self):
        with pytest.raises(NotImplementedError, match="collect_device is 'cpu' or 'gpu', not 'tpu'"):
            Echo(collect_device="tpu")

    def test_dump_writes_predictions(self, tmp_path):
        metric = DumpResults(str(tmp_path / "a.pkl"))
        metric.process(None, [{"scores": torch.ones(2), "meta": ("a", [torch.zeros(1)])}])
        assert metric.evaluate(1) == {}
        (loaded,) = pickle.loads((tmp_path / "a.pkl").read_bytes())
        assert torch.equal(loaded["scores"], torch.ones(2))
        with pytest.raises(ValueError, match=r"\.pkl or \.pickle, not 'a\.json'"):
            DumpResults("a.json")

    def test_to_cpu_keeps_structures(self):
        from collections import namedtuple

        Pair = namedtuple("Pair", "a b")
        moved = _to_cpu([Pair(torch.ones(1), 2), {"x": BaseDataElement(y=torch.ones(1))}])
        assert moved[0] == Pair(torch.ones(1), 2)
        assert isinstance(moved[0], Pair)
        assert isinstance(moved[1]["x"], BaseDataElement)
        assert moved[1]["x"].y.tolist() == [1]
