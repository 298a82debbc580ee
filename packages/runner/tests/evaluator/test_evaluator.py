from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from eng.evaluator import BaseMetric, DumpResults, Evaluator, LossMeter, get_metric_value, split_losses
from eng.evaluator.metric import _to_cpu
from eng.registry import METRICS
from eng.runner.assemble.evaluation import build_evaluator
from eng.structures import BaseDataElement

HERE = Path(__file__).parent


class Accuracy(BaseMetric):
    default_prefix = "ACC"

    def process(self, data_batch, data_samples):
        self.results.extend(sample["pred"] == sample["label"] for sample in data_samples)

    def compute_metrics(self, results):
        return {"accuracy": float(np.mean(results)), "seen": len(results)}


class Echo(BaseMetric):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.got = []

    def process(self, data_batch, data_samples):
        self.got.append((data_batch, data_samples))
        self.results.append(1)

    def compute_metrics(self, results):
        return {"batches": len(self.got)}


@pytest.fixture
def registered():
    with METRICS.isolated():
        METRICS.register_module(module=Accuracy, name="AccuracyOfThisTest")
        yield "AccuracyOfThisTest"


SAMPLES = [{"pred": 1, "label": 1}, {"pred": 0, "label": 1}, {"pred": 2, "label": 2}, {"pred": 2, "label": 2}]


class Returns(Echo):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def compute_metrics(self, results):
        return self.value


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


def test_a_metric_without_prefix_says_so(caplog):
    Echo(prefix="a")
    assert "prefix" not in caplog.text
    Echo()
    assert "Echo has no prefix" in caplog.text


def test_nested_values_are_named_by_their_path():
    metric = Returns({"mean": 0.5, "per_class": {"cat": 0.25, "dog": {"left": 1}}})
    metric.prefix = "toy"
    metric.process(None, [1])
    assert metric.evaluate(1) == {"toy/mean": 0.5, "toy/per_class/cat": 0.25, "toy/per_class/dog/left": 1}


def test_anything_else_is_no_metric():
    with pytest.raises(
        TypeError, match="must be a BaseMetric or a config of one, or have the methods update.*, got builtins.int"
    ):
        build_evaluator(3)


class TestEvaluator:
    @pytest.mark.parametrize("many", [False, True], ids=["one", "list"])
    def test_metrics_from_configs_and_objects(self, registered, many):
        metrics = [{"type": registered}, Echo()] if many else {"type": registered, "prefix": "mine"}
        evaluator = Evaluator(metrics)
        evaluator.process(SAMPLES[:2])
        evaluator.process(SAMPLES[2:])
        expected = (
            {"ACC/accuracy": 0.75, "ACC/seen": 4, "batches": 2} if many else {"mine/accuracy": 0.75, "mine/seen": 4}
        )
        assert evaluator.evaluate(4) == expected

    def test_starts_anew_after_each_evaluation(self):
        evaluator = Evaluator(Accuracy())
        for _ in range(2):
            evaluator.process(SAMPLES)
            assert evaluator.evaluate(4)["ACC/seen"] == 4

    def test_what_samplers_added_is_dropped(self):
        evaluator = Evaluator(Accuracy())
        evaluator.process(SAMPLES)
        assert evaluator.evaluate(3)["ACC/seen"] == 3

    def test_data_elements_become_dicts_and_a_dict_stays_one(self):
        metric = Echo()
        evaluator = Evaluator(metric)
        element = BaseDataElement(metainfo={"a": 1}, b=torch.ones(1))
        evaluator.process([element], data_batch="batch")
        evaluator.process({"scores": torch.ones(2)})
        (batch, (sample,)), (_, mapping) = metric.got
        assert batch == "batch"
        assert sample["a"] == 1
        assert set(mapping) == {"scores"}

    def test_dataset_meta_reaches_all_metrics(self):
        metrics = [Accuracy(), Echo()]
        evaluator = Evaluator(metrics)
        evaluator.dataset_meta = {"classes": ("a", "b")}
        assert [metric.dataset_meta["classes"] for metric in metrics] == [("a", "b")] * 2
        assert evaluator.dataset_meta["classes"] == ("a", "b")

    def test_two_metrics_with_one_name(self):
        evaluator = Evaluator([Echo(), Echo()])
        evaluator.process([])
        with pytest.raises(ValueError, match=r"two metrics give 'batches'.*prefix"):
            evaluator.evaluate(1)

    @pytest.mark.parametrize("chunk_size", [1, 3, 100])
    def test_offline_in_chunks(self, chunk_size):
        echo = Echo(prefix="echo")
        evaluator = Evaluator([Accuracy(), echo])
        metrics = evaluator.offline_evaluate(SAMPLES, [10, 11, 12, 13], chunk_size=chunk_size)
        assert metrics["ACC/accuracy"] == 0.75
        assert [item for batch, _ in echo.got for item in batch] == [10, 11, 12, 13]
        assert max(len(samples) for _, samples in echo.got) == min(chunk_size, 4)
        assert evaluator.offline_evaluate(SAMPLES)["ACC/seen"] == 4

    def test_offline_bad_input(self):
        with pytest.raises(ValueError, match=r"4 predictions \(data_samples\) and 1"):
            Evaluator(Echo()).offline_evaluate(SAMPLES, [1])
        with pytest.raises(ValueError, match="chunk_size"):
            Evaluator(Echo()).offline_evaluate(SAMPLES, chunk_size=0)


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


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.timeout(90)
def test_any_number_of_ranks_gives_what_one_process_gives(tmp_path, world_size):
    size = 5
    arguments = [sys.executable, str(HERE / "_ranks_driver.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [*arguments, str(rank), str(world_size), str(tmp_path), str(size)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for rank in range(world_size)
    ]  # fmt: skip
    for rank in ranks:
        out, err = rank.communicate(timeout=80)
        assert rank.returncode == 0, err[-2000:]
        assert json.loads(out.splitlines()[-1]) == {
            "toy/order": [0, 1, 2, 3, 4],
            "toy/mean": 2.0,
            "loss": 2.0,
            "aux": 1.5,
        }
    assert [float(item["value"]) for item in pickle.loads((tmp_path / "dump.pkl").read_bytes())] == [0, 1, 2, 3, 4]


class TestMetricValue:
    METRICS = {"COCO/AP": 0.5, "COCO/AR": 0.6, "VOC/AP": 0.7, "acc": 0.8}

    @pytest.mark.parametrize(("name", "value"), [("COCO/AP", 0.5), ("AR", 0.6), ("acc", 0.8)])
    def test_by_key_or_by_name(self, name, value):
        assert get_metric_value(name, self.METRICS) == value

    @pytest.mark.parametrize(
        ("name", "match"),
        [("AP", r"several.*COCO/AP, VOC/AP"), ("COCO/AQ", "did you mean 'COCO/A"), ("none", "there are COCO/AP")],
    )
    def test_unclear_or_unknown(self, name, match):
        with pytest.raises(ValueError, match=match):
            get_metric_value(name, self.METRICS)


class TestLosses:
    @pytest.mark.parametrize(
        ("outputs", "expected"),
        [
            ([1, BaseDataElement(loss={"a": 1})], ([1], {"a": 1})),
            ([1, BaseDataElement(loss=2)], ([1], {"loss": 2})),
            (([1], {"loss_a": 2, "b": [0.5]}), ([1], {"loss_a": 2, "b": [0.5]})),
        ],
        ids=["data element", "one loss", "tuple"],
    )
    def test_are_taken_from_the_predictions(self, outputs, expected):
        assert split_losses(outputs) == expected

    @pytest.mark.parametrize(
        "outputs",
        [
            [], [1, 2], {"loss": 1}, [{"loss": 1}], ([1], {"score": 1.0}), ([1], {"loss": "high"}), ([1], [2]),
            [1, BaseDataElement(loss=2, pred=1)], [1, BaseDataElement(pred=1)],
        ],
    )  # fmt: skip
    def test_what_is_no_loss_stays_a_prediction(self, outputs):
        assert split_losses(outputs) == (outputs, {})

    def test_mean_is_weighted_by_samples(self):
        meter = LossMeter()
        meter.update({"a": torch.tensor([1.0, 3.0]), "b": [torch.tensor(1.0), torch.tensor(2.0)]}, num_samples=2)
        meter.update({"a": 5, "b": []})
        assert meter.compute() == {"a": 3.0, "b": 2.0}
        assert meter.compute() == {}

    def test_total_is_the_sum_unless_the_model_gives_it(self):
        meter = LossMeter()
        meter.update({"loss_a": torch.tensor(1, dtype=torch.bfloat16), "loss_b": 2.0, "acc": 9}, num_samples=3)
        meter.update({"loss_b": 10.0})
        assert meter.compute() == {"loss_a": 1, "loss_b": 4, "acc": 9, "loss": (3 * 3 + 10) / 4}
        meter.update({"loss_a": 1, "loss": 7})
        assert meter.compute() == {"loss_a": 1, "loss": 7}

    @pytest.mark.parametrize("order", [1, -1], ids=["tensor first", "number first"])
    def test_numbers_may_stand_beside_tensors_of_an_accelerator(self, order):
        values = [torch.ones(2, device="meta"), 2.0][::order]  # a device that is there without hardware
        meter = LossMeter()
        meter.update(dict(zip(("loss_a", "loss_b"), values, strict=True)))
        meter.update({"loss_list": values})
        assert {name: total.device.type for name, total in meter._sums.items() if name in ("loss", "loss_list")} == {
            "loss": "meta",
            "loss_list": "meta",
        }

    def test_forgets_what_an_interrupted_validation_left(self):
        meter = LossMeter()
        meter.update({"loss": 1})
        meter.clear()
        assert meter.compute() == {}

    def test_a_loss_of_a_wrong_type_is_named(self):
        with pytest.raises(TypeError, match=r"'a'.*str"):
            LossMeter().update({"a": "1"})
