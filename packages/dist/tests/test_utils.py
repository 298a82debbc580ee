from __future__ import annotations

import types
from typing import Any

import pytest
import torch
from dist_parts import pretend

import eng.device as device

pytestmark = pytest.mark.usefixtures("only_a_cpu")


ALL = ["npu", "cuda", "mlu", "mps", "dipu", "musa"]


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


def test_public_names() -> None:
    assert set(device.__all__) >= {"get_device", "get_max_cuda_memory", *(f"is_{name}_available" for name in ALL)}
