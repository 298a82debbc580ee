"""Comparisons for tests. As in MMEngine most ``assert_*`` functions return a bool, which the test must assert."""

from __future__ import annotations

import runpy
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

__all__ = [
    "assert_allclose",
    "assert_attrs_equal",
    "assert_dict_contains_subset",
    "assert_dict_has_keys",
    "assert_is_norm_layer",
    "assert_keys_equal",
    "assert_params_all_zeros",
    "check_python_script",
]

_MISSING = object()


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str | Callable[[str], str] | None = "",
) -> None:
    """Asserts that tensors, arrays, numbers or containers of these are close.

    Args:
        actual: the value that the tested code produced.
        expected: the expected value.
        rtol: relative tolerance. If `rtol` and `atol` are None (default), both depend on the dtype; see
            :func:`torch.testing.assert_close`.
        atol: absolute tolerance.
        equal_nan: whether NaN equals NaN.
        msg: error message to use instead of the default message.

    Raises:
        AssertionError: the values are not close.

    Examples:
        >>> assert_allclose([1.0, 2.0], torch.tensor([1.0, 2.0 + 1e-7]))
    """
    if isinstance(expected, torch.Tensor) and not isinstance(actual, torch.Tensor):
        actual = torch.as_tensor(np.asarray(actual), dtype=expected.dtype)
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, msg=msg or None)


def check_python_script(cmd: str) -> None:
    """Runs a Python script with arguments in this process, as if it were started from the command line.

    Args:
        cmd: the command line, such as ``path/script.py --flag 1``, with or without ``python`` before it.
    """
    arguments = shlex.split(cmd)
    if arguments and arguments[0].startswith("python"):
        arguments = arguments[1:]
    with mock.patch.object(sys, "argv", arguments):
        runpy.run_path(arguments[0], run_name="__main__")


def assert_dict_contains_subset(dict_obj: Mapping[Any, Any], expected_subset: Mapping[Any, Any]) -> bool:
    """Whether `dict_obj` has each key of `expected_subset` with the same value; arrays must be equal in all elements.

    Examples:
        >>> assert_dict_contains_subset({"a": 1, "b": 2}, {"a": 1})
        True
    """
    return all(_same(dict_obj.get(key, _MISSING), value) for key, value in expected_subset.items())


def assert_attrs_equal(obj: Any, expected_attrs: Mapping[str, Any]) -> bool:
    """Whether each attribute of `obj` that `expected_attrs` names has the value in `expected_attrs`.

    Arrays must be equal in all elements.
    """
    return all(_same(getattr(obj, name, _MISSING), value) for name, value in expected_attrs.items())


def assert_dict_has_keys(obj: Mapping[str, Any], expected_keys: Sequence[str]) -> bool:
    """Whether the mapping `obj` has all keys in `expected_keys`; it may have further keys."""
    return set(expected_keys) <= set(obj)


def assert_keys_equal(result_keys: Sequence[str], target_keys: Sequence[str]) -> bool:
    """Whether two sequences contain the same keys, in any order."""
    return set(result_keys) == set(target_keys)


def assert_is_norm_layer(module: nn.Module) -> bool:
    """Whether `module` is a batch, instance, group or layer normalisation."""
    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.nn.modules.instancenorm import _InstanceNorm

    return isinstance(module, _BatchNorm | _InstanceNorm | nn.GroupNorm | nn.LayerNorm)


def assert_params_all_zeros(module: nn.Module) -> bool:
    """Whether all elements of weight and bias of `module`, if it has them, are zero."""
    tensors = [getattr(module, name, None) for name in ("weight", "bias")]
    return all(not tensor.any() for tensor in tensors if isinstance(tensor, torch.Tensor))


def _same(actual: Any, expected: Any) -> bool:
    if actual is _MISSING:
        return False
    if isinstance(actual, torch.Tensor) and isinstance(expected, torch.Tensor):
        return actual.shape == expected.shape and bool((actual == expected).all())
    return bool(np.all(actual == expected))
