from __future__ import annotations

import subprocess
import sys
import types
from typing import Any

import pytest
import torch
from dist_parts import pretend
from torch.utils import backend_registration

import eng.device as device

pytestmark = pytest.mark.usefixtures("only_a_cpu")
# Row of the table, and whether a plugin brings it.
VENDORS = {"npu": True, "cuda": False, "xpu": False, "mlu": True, "musa": True}


class Vendor:
    """Functions of a vendor's module with the names that CUDA's have, and a record of their calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.state = torch.tensor([7], dtype=torch.uint8)

    def functions(self) -> dict[str, Any]:
        answers = {
            "device_count": 2, "current_device": 1, "get_device_name": "Product 9000", "mem_get_info": (30, 100),
            "memory_allocated": 11, "memory_reserved": 12, "max_memory_allocated": 5 * 2**20, "max_memory_reserved": 14,
            "get_rng_state": self.state, "is_initialized": True, "synchronize": None, "empty_cache": None,
            "reset_peak_memory_stats": None, "set_rng_state": None, "set_device": None,
        }  # fmt: skip
        return {name: self._function(name, answer) for name, answer in answers.items()}

    def _function(self, name: str, answer: Any) -> Any:
        def function(*arguments: Any) -> Any:
            self.calls.append((name, *arguments))
            return answer

        return function


@pytest.fixture(params=list(VENDORS))
def vendor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Vendor]:
    vendor = Vendor()
    if VENDORS[request.param]:
        pretend(monkeypatch, request.param, **vendor.functions())
    else:
        module = types.SimpleNamespace(is_available=lambda: True, **vendor.functions())
        monkeypatch.setattr(torch, request.param, module)
    return request.param, vendor


def test_names_and_memory_of_every_vendor(vendor: tuple[str, Vendor]) -> None:
    name, calls = vendor[0], vendor[1].calls
    assert device.get_device() == name
    assert device.device_count() == 2
    assert device.device_name() == device.device_name(f"{name}:1") == "Product 9000"
    assert device.memory_info() == (30, 100)
    assert (device.memory_allocated(), device.memory_reserved(f"{name}:0")) == (11, 12)
    assert (device.peak_memory(1), device.peak_memory_reserved()) == (5 * 2**20, 14)
    assert device.pins_memory()
    device.synchronize(1)
    device.reset_peak_memory()
    device.empty_cache()
    assert calls[-7:] == [
        ("memory_reserved", 0), ("max_memory_allocated", 1), ("max_memory_reserved", None), ("synchronize", 1),
        ("reset_peak_memory_stats", None), ("is_initialized",), ("empty_cache",),
    ]  # fmt: skip


def test_generators_of_every_vendor(vendor: tuple[str, Vendor]) -> None:
    name, functions = vendor
    assert device.get_rng_states() == {name: functions.state}
    device.set_rng_states({"tpu": functions.state, name: torch.tensor([3], dtype=torch.uint8)})
    assert functions.calls[-1][0] == "set_rng_state" and functions.calls[-1][1].item() == 3


def test_a_device_that_was_not_used_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = Vendor()
    pretend(monkeypatch, "npu", **{**vendor.functions(), "is_initialized": lambda: False})
    device.empty_cache()
    assert device.get_rng_states() == {} and vendor.calls == []


def test_a_vendor_without_a_function_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "mlu", device_count=lambda: 1)
    assert device.device_name() == "mlu" and device.peak_memory() is None and device.memory_info() is None
    device.synchronize()


def test_apple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    names = {"recommended_max_memory": 100, "driver_allocated_memory": 40, "current_allocated_memory": 30}
    for name, answer in names.items():
        monkeypatch.setattr(torch.mps, name, lambda answer=answer: answer)
    assert device.current_device() == torch.device("mps", 0) and device.device_count() == 1
    assert device.memory_info() == (60, 100) and device.memory_allocated() == 30 and device.peak_memory() is None
    assert device.device_name().startswith("Apple GPU") and not device.pins_memory()


def test_the_cpu_has_nothing_to_count_or_to_wait_for() -> None:
    assert device.current_device() == torch.device("cpu") and device.device_count() == 0 and device.device_name()
    answers = [device.memory_info(), device.memory_allocated(), device.memory_reserved(), device.peak_memory("cpu")]
    assert answers == [None] * 4 and device.peak_memory_reserved(torch.device("cpu")) is None
    assert device.get_rng_states() == {} and not device.pins_memory()
    device.synchronize()
    device.empty_cache()
    device.reset_peak_memory()
    assert device.new_stream() is None and device.current_stream() is None and device.record_event("cpu") is None
    with device.use_stream(device.new_stream()):
        assert device.current_stream() is None


# A backend that torch itself takes for an accelerator, in a process of its own as it cannot be unregistered.
BACKEND = """
import sys, types, torch
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
name = sys.argv[1]
plugin = types.ModuleType(f"torch_{name}")
plugin.__spec__ = types.SimpleNamespace(name=plugin.__name__)
sys.modules[plugin.__name__] = plugin
_setup_privateuseone_for_python_backend(name)
import eng.device as device
assert device.get_device() == name, device.get_device()
assert device.current_device() == torch.device(name, 0)
assert device.device_count() == torch.accelerator.device_count() == 1
stream = device.new_stream()
assert stream.device == torch.device(name, 0), stream
with device.use_stream(stream):
    assert device.current_stream(name) == stream
event = device.record_event(0)
assert event.device == torch.device(name, 0), event
print("passed")
"""


@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="a backend in Python needs a newer torch",
)
@pytest.mark.parametrize("name", ["musa", "newcomer"])
def test_streams_and_events_of_an_accelerator_in_the_table_and_outside(name: str) -> None:
    command = [sys.executable, "-c", BACKEND, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "passed", done.stderr
