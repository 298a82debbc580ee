from __future__ import annotations

import re

import pytest
import torch
from analysis_parts import rows_of
from models import TestNet
from torch import nn

from eng.analysis import get_model_complexity_info
from eng.analysis._table import format_size

# The manual's TestNet: four Linear(10, 10), each of 110 parameters, 100 multiply-adds and 10 activations.
TABLE = """\
+---------------------+----------------------+--------+--------------+
| module              | #parameters or shape | #flops | #activations |
+---------------------+----------------------+--------+--------------+
| model               | 0.44K                | 0.4K   | 40           |
|  fc1                |  0.11K               |  100   |  10          |
|   fc1.weight        |   (10, 10)           |        |              |
|   fc1.bias          |   (10,)              |        |              |
|  fc2                |  0.11K               |  100   |  10          |
|   fc2.weight        |   (10, 10)           |        |              |
|   fc2.bias          |   (10,)              |        |              |
|  inner              |  0.22K               |  0.2K  |  20          |
|   inner.fc1         |   0.11K              |   100  |   10         |
|    inner.fc1.weight |    (10, 10)          |        |              |
|    inner.fc1.bias   |    (10,)             |        |              |
|   inner.fc2         |   0.11K              |   100  |   10         |
|    inner.fc2.weight |    (10, 10)          |        |              |
|    inner.fc2.bias   |    (10,)             |        |              |
+---------------------+----------------------+--------+--------------+"""


TREE = """\
TestNet(
  #params: 0.44K, #flops: 0.4K, #acts: 40
  (fc1): Linear(
    in_features=10, out_features=10, bias=True
    #params: 0.11K, #flops: 100, #acts: 10
  )
  (fc2): Linear(
    in_features=10, out_features=10, bias=True
    #params: 0.11K, #flops: 100, #acts: 10
  )
  (inner): InnerNet(
    #params: 0.22K, #flops: 0.2K, #acts: 20
    (fc1): Linear(
      in_features=10, out_features=10, bias=True
      #params: 0.11K, #flops: 100, #acts: 10
    )
    (fc2): Linear(
      in_features=10, out_features=10, bias=True
      #params: 0.11K, #flops: 100, #acts: 10
    )
  )
)"""


def test_table_and_tree_of_the_manual_to_the_character() -> None:
    info = get_model_complexity_info(TestNet(), (1, 10))
    assert info["out_table"] == f"\n{TABLE}\n"
    assert info["out_arch"] == f"\n{TREE}\n"
    assert set(info) == {
        "flops", "flops_str", "activations", "activations_str", "params", "params_str", "out_table", "out_arch",
    }  # fmt: skip
    assert (info["flops_str"], info["params_str"], info["activations_str"]) == ("0.4K", "0.44K", "40")


# Rows of the manual's table for ResNet-50 inside one wrapper.
@pytest.mark.parametrize(
    ("module", "cells"),
    [
        ("resnet", ["25.557M", "4.145G", "11.115M"]),
        ("conv1", ["9.408K", "0.118G", "0.803M"]),
        ("conv1.weight", ["(64, 3, 7, 7)", "", ""]),
        ("bn1", ["0.128K", "4.014M", "0"]),
        ("layer1", ["0.216M", "0.69G", "4.415M"]),
        ("layer1.0.downsample", ["16.896K", "55.394M", "0.803M"]),
        ("layer2.0", ["0.379M", "0.379G", "1.305M"]),
        ("layer2.0.bn2", ["0.256K", "0.502M", "0"]),
        ("layer3", ["7.098M", "1.475G", "2.158M"]),
        ("layer3.5.conv2", ["0.59M", "0.116G", "50.176K"]),
        ("layer4", ["14.965M", "0.812G", "0.627M"]),
        ("layer4.2.bn3", ["4.096K", "0.502M", "0"]),
        ("fc", ["2.049M", "2.048M", "1K"]),
        ("avgpool", ["", "0.1M", "0"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_resnet50_has_the_rows_of_the_manual(wrapped_resnet, module, cells) -> None:
    assert rows_of(wrapped_resnet["out_table"])[module] == cells


def test_tree_gives_two_decimals(wrapped_resnet) -> None:
    assert "#params: 25.56M, #flops: 4.14G, #acts: 11.11M" in wrapped_resnet["out_arch"]
    assert re.search(r"\(relu\): ReLU\(inplace=True\)\n", wrapped_resnet["out_arch"])


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"), (1, "1"), (100, "100"), (999, "0.999K"), (10_000, "10K"), (99_999, "99.999K"), (100_000, "100K"),
        (123_456, "0.123M"), (12_345_678, "12.346M"), (1e9, "1G"), (4_145_000_000, "4.145G"), (1.5e15, "1.5P"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_the_reference_writes_them(number, text) -> None:
    assert format_size(number) == text


def test_a_module_that_is_never_called_has_no_counts() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Identity())
    model[0].register_module("spare", nn.Linear(3, 3))
    info = get_model_complexity_info(model, (2,))
    assert rows_of(info["out_table"])["spare"] == ["12", "", ""]
    assert "#params: 12, #flops: N/A, #acts: N/A" in info["out_arch"]


def test_shapes_of_several_inputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x, y):
            return self.fc(x) + self.fc(y)

    assert get_model_complexity_info(Two(), ((2,), (2,)))["flops"] == 8
    assert get_model_complexity_info(Two(), inputs={"x": torch.zeros(3, 2), "y": torch.zeros(3, 2)})["flops"] == 24


def test_what_is_not_asked_for_is_empty() -> None:
    info = get_model_complexity_info(TestNet(), (1, 10), show_table=False, show_arch=False)
    assert (info["out_table"], info["out_arch"]) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give input_shape"),
        ({"input_shape": (10,), "inputs": torch.zeros(1, 10)}, "not both"),
        ({"input_shape": (3, "x")}, "whole numbers"),
        ({"input_shape": (0, 10)}, "whole numbers"),
        ({"input_shape": ()}, "whole numbers"),
        ({"input_shape": 224}, "whole numbers such as"),
        ({"input_shape": (3, 224.0)}, "whole numbers such as"),
    ],
    ids=["nothing", "both", "text", "zero", "empty", "number", "fraction"],
)
def test_inputs_that_make_no_sense(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        get_model_complexity_info(TestNet(), **arguments)


@pytest.mark.parametrize("model", [nn.Sequential(), nn.ReLU()], ids=["empty Sequential", "no parameters"])
def test_a_model_without_parameters(model) -> None:
    info = get_model_complexity_info(model, (3,))
    assert (info["flops"], info["params"]) == (0, 0)
    assert "| model " in info["out_table"]
