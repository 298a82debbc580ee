from __future__ import annotations

import pytest
import torch

from eng.dataset import KFoldDataset
from eng.evaluator import DumpResults
from eng.hooks import CheckpointHook
from eng.logging.words import counted, metrics_line
from eng.optim import ReduceOnPlateauLR
from eng.optim.errors import ScheduleError


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, "epoch"), "0 epochs"),
        ((1, "epoch"), "1 epoch"),
        ((2, "batch", "batches"), "2 batches"),
        ((1, "batch", "batches"), "1 batch"),
        ((1234567, "sample"), "1234567 samples"),
    ],
)
def test_a_number_and_its_noun(arguments: tuple[int, str], text: str) -> None:
    assert counted(*arguments) == text


def test_metrics_have_four_decimal_places() -> None:
    assert metrics_line({"a/f1": 0.123456, "size": 3, "label": "cat"}) == "a/f1: 0.1235, size: 3, label: cat"
    assert metrics_line({}) == "no metrics"


def test_thousands_are_separated_where_asked() -> None:
    assert counted(1234567, "sample", separator=",") == "1,234,567 samples"


def test_a_message_about_one_of_something_uses_the_singular(tmp_path, caplog) -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ScheduleError, match=r"min_value has 2 values for 1 parameter group$"):
        ReduceOnPlateauLR(optimizer, min_value=[0.1, 0.2])
    with pytest.raises(ValueError, match=r"cannot make 2 folds of 1 sample: "):
        KFoldDataset([0], num_splits=2)
    with pytest.raises(ValueError, match=r"1 metric in save_best and 2 rules: "):
        CheckpointHook(save_best="acc", rule=["greater", "less"])
    with caplog.at_level("INFO", logger="eng"):
        DumpResults(str(tmp_path / "out.pkl")).compute_metrics([1])
    assert "predictions of 1 sample are in" in caplog.text
