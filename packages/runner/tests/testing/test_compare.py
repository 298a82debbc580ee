from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from eng import testing


def test_allclose_of_anything_like_numbers():
    testing.assert_allclose(torch.ones(2), torch.ones(2))
    testing.assert_allclose([1.0, 2.0], torch.tensor([1.0, 2.0]))
    testing.assert_allclose(np.ones(2), np.ones(2) + 1e-12)
    testing.assert_allclose(torch.tensor([float("nan")]), torch.tensor([float("nan")]))
    with pytest.raises(AssertionError, match="not close"):
        testing.assert_allclose(torch.ones(2), torch.zeros(2))
    with pytest.raises(AssertionError, match="mine"):
        testing.assert_allclose(torch.ones(2), torch.zeros(2), msg="mine")
    testing.assert_allclose(torch.ones(2), torch.ones(2) + 0.1, rtol=0, atol=0.2)


@pytest.mark.parametrize(
    ("subset", "expected"),
    [
        ({"a": 1}, True),
        ({"a": 2}, False),
        ({"z": None}, False),
        ({"t": torch.ones(2)}, True),
        ({"t": torch.zeros(2)}, False),
    ],
)
def test_dict_contains_subset(subset, expected):
    whole = {"a": 1, "b": 2, "t": torch.ones(2), "n": np.ones(2)}
    assert testing.assert_dict_contains_subset(whole, subset) is expected


def test_dict_contains_arrays():
    assert testing.assert_dict_contains_subset({"n": np.ones(2)}, {"n": np.ones(2)})
    assert not testing.assert_dict_contains_subset({"n": np.ones(2)}, {"n": np.array([1, 2])})


def test_attributes_and_keys():
    layer = nn.Linear(2, 3)
    assert testing.assert_attrs_equal(layer, {"in_features": 2, "out_features": 3})
    assert not testing.assert_attrs_equal(layer, {"in_features": 3})
    assert not testing.assert_attrs_equal(layer, {"width": None})
    assert testing.assert_dict_has_keys({"a": 1, "b": 2}, ["a"])
    assert not testing.assert_dict_has_keys({"a": 1}, ["c"])
    assert testing.assert_keys_equal(["a", "b"], ["b", "a"])
    assert not testing.assert_keys_equal(["a"], ["a", "b"])


@pytest.mark.parametrize(
    ("module", "expected"),
    [(nn.BatchNorm2d(1), True), (nn.InstanceNorm1d(1), True), (nn.GroupNorm(1, 1), True), (nn.LayerNorm(1), True), (nn.Conv2d(1, 1, 1), False)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_norm_layers(module, expected):
    assert testing.assert_is_norm_layer(module) is expected


def test_params_all_zeros():
    layer = nn.Linear(2, 2)
    assert not testing.assert_params_all_zeros(layer)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    assert testing.assert_params_all_zeros(layer)


def test_a_script_runs_with_its_arguments(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys; assert sys.argv[1:] == ['--flag', 'a b'], sys.argv; assert __name__ == '__main__'")
    testing.check_python_script(f"python {script} --flag 'a b'")
    testing.check_python_script(f"{script} --flag 'a b'")
    with pytest.raises(AssertionError, match="--other"):
        testing.check_python_script(f"{script} --other")
