from __future__ import annotations

import pytest
import torch

from eng.evaluator import LossMeter, split_losses
from eng.structures import BaseDataElement


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
