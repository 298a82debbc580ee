"""Settings that count something: what is a whole number, and the hooks that ask for one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from eng.hooks import CheckpointHook, LoggerHook
from eng.logging.whole_numbers import whole_number

WRONG = [2.5, float("inf"), float("nan"), "2", None, [1], True, torch.tensor(2)]


@pytest.mark.parametrize("value", [2, 2.0, np.int64(2), np.float32(2)], ids=repr)
def test_whole_numbers_of_every_type_are_ints(value: Any) -> None:
    result = whole_number("n", value, 1)
    assert (result, type(result)) == (2, int)


@pytest.mark.parametrize("value", [*WRONG, 0], ids=repr)
def test_everything_else_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ValueError, match="n must be a whole number, 1 or more, got"):
        whole_number("n", value, 1)


@pytest.mark.parametrize("name", ["interval", "max_keep_ckpts", "save_begin"])
class TestCheckpointHook:
    @pytest.mark.parametrize("value", WRONG, ids=repr)
    def test_refuses_what_is_no_whole_number(self, name: str, value: Any) -> None:
        with pytest.raises(ValueError, match=f"CheckpointHook's {name}.* must be a whole number"):
            CheckpointHook(**{name: value})

    def test_takes_whole_numbers(self, name: str) -> None:
        assert getattr(CheckpointHook(**{name: np.int64(2)}), name) == 2


@pytest.mark.parametrize("name", ["interval", "interval_exp_name"])
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_logger_hook_refuses_what_is_no_whole_number(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"LoggerHook's {name} must be a"):
        LoggerHook(**{name: value})
