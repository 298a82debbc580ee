from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch

import eng.device as device
from eng.device._table import accelerator

ALL = ["npu", "cuda", "mlu", "mps", "dipu", "musa"]


def pretend(monkeypatch: pytest.MonkeyPatch, name: str, **functions: Any) -> None:
    """Makes a vendor's device appear as its plugin would."""
    plugin = types.ModuleType(f"torch_{name}")
    plugin.__spec__ = types.SimpleNamespace(name=plugin.__name__)  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    module = types.SimpleNamespace(is_available=lambda: True, **functions)
    monkeypatch.setattr(torch, name, module, raising=False)


@pytest.fixture(autouse=True)
def only_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_machine_with_a_cpu_only() -> None:
    assert device.get_device() == "cpu"
    assert not any(getattr(device, f"is_{name}_available")() for name in ALL)
    assert not device.is_npu_support_full_precision()
    assert device.get_max_cuda_memory() == 0 and device.get_max_musa_memory() == 0


@pytest.mark.parametrize("name", ["npu", "mlu", "dipu", "musa"])
def test_vendor_is_found_by_its_plugin(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, name)
    assert device.get_device() == name
    assert [each for each in ALL if getattr(device, f"is_{each}_available")()] == [name]


def test_npu_comes_before_cuda_and_cuda_before_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    pretend(monkeypatch, "mlu")
    assert device.get_device() == "cuda"
    pretend(monkeypatch, "npu")
    assert device.get_device() == "npu"


def test_apple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.get_device() == "mps"


@pytest.mark.parametrize(("soc", "full"), [(104, False), (219, False), (220, True), (300, True)])
def test_full_precision_of_an_npu(soc: int, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "npu", utils=types.SimpleNamespace(get_soc_version=lambda: soc))
    assert device.is_npu_support_full_precision() is full


@pytest.mark.parametrize("name", ["cuda", "musa"])
def test_peak_memory_is_in_megabytes_and_starts_anew(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reset: list[Any] = []
    if name == "musa":
        pretend(monkeypatch, name)
    else:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(getattr(torch, name), "max_memory_allocated", lambda device: 5 * 2**20 + 9, raising=False)
    monkeypatch.setattr(
        getattr(torch, name), "reset_peak_memory_stats", lambda device: reset.append(device), raising=False
    )
    assert getattr(device, f"get_max_{name}_memory")("d1") == 5 and reset == ["d1"]


def test_unknown_accelerator_is_named() -> None:
    with pytest.raises(KeyError, match="'tpu'; known are npu, cuda"):
        accelerator("tpu")


def test_public_names() -> None:
    assert set(device.__all__) >= {"get_device", "get_max_cuda_memory", *(f"is_{name}_available" for name in ALL)}
