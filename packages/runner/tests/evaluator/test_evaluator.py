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
from evaluator_parts import Echo

from eng.evaluator import BaseMetric, Evaluator, get_metric_value
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


@pytest.fixture
def registered():
    with METRICS.isolated():
        METRICS.register_module(module=Accuracy, name="AccuracyOfThisTest")
        yield "AccuracyOfThisTest"


SAMPLES = [{"pred": 1, "label": 1}, {"pred": 0, "label": 1}, {"pred": 2, "label": 2}, {"pred": 2, "label": 2}]


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
        [
            ("AP", r"matches multiple metrics: COCO/AP, VOC/AP"),
            ("COCO/AQ", "did you mean 'COCO/A"),
            ("none", "there are COCO/AP"),
        ],
    )
    def test_unclear_or_unknown(self, name, match):
        with pytest.raises(ValueError, match=match):
            get_metric_value(name, self.METRICS)
