from __future__ import annotations

from analysis_parts import rows_of
from models import TestNet
from torch import nn

from eng.analysis import parameter_count, parameter_count_table


def test_a_module_that_only_computes_comes_after_those_with_parameters(wrapped_resnet) -> None:
    names = list(rows_of(wrapped_resnet["out_table"]))
    assert names[1] == "resnet"
    assert names[-1] == "avgpool"
    assert "relu" not in names


def test_parameters_by_module_and_tensor() -> None:
    counts = parameter_count(TestNet())
    assert (counts[""], counts["inner"], counts["inner.fc1.bias"], counts["nothing"]) == (440, 220, 10, 0)


def test_a_shared_parameter_counts_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    assert parameter_count(model)[""] == 16


def test_parameter_table_gives_shapes_down_to_a_depth() -> None:
    table = parameter_count_table(TestNet())
    assert "parameter count of TestNet" in table
    assert rows_of(table)["inner.fc1.weight"] == ["(10, 10)"]
    assert rows_of(table)["model"] == ["0.4K"]
    assert "inner.fc1" not in rows_of(parameter_count_table(TestNet(), max_depth=1))
