from __future__ import annotations

import pytest
import torch
from dist_parts import pretend

import eng.device as device
from eng.device._table import accelerator

pytestmark = pytest.mark.usefixtures("only_a_cpu")


def test_npu_comes_before_cuda_and_cuda_before_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    pretend(monkeypatch, "mlu")
    assert device.get_device() == "cuda"
    pretend(monkeypatch, "npu")
    assert device.get_device() == "npu"


def test_apple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.get_device() == "mps"


def test_unknown_accelerator_is_named() -> None:
    with pytest.raises(KeyError, match="'tpu'; known are npu, cuda"):
        accelerator("tpu")
