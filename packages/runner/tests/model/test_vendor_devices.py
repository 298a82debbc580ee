from __future__ import annotations

import pytest
import torch
from model_base_model_parts import Losses

from eng.model import BaseDataPreprocessor
from eng.model.base_model import _vendor_devices
from eng.model.base_model._vendor_devices import named


@pytest.mark.parametrize("name", ["npu", "mlu", "musa"])
def test_other_accelerators_are_asked_for_by_name(name, monkeypatch):
    asked = []
    for cls in (Losses, BaseDataPreprocessor):  # this torch may not know the device: its plug-in names it
        monkeypatch.setattr(cls, "to", lambda self, device: asked.append(device) or self)
    monkeypatch.setattr(_vendor_devices, "named", lambda kind, index: (kind, index))
    model, preprocessor = Losses(), BaseDataPreprocessor()
    assert getattr(model, name)(1) is model and getattr(preprocessor, name)() is preprocessor
    assert asked == [(name, 1), (name, None)]


@pytest.mark.parametrize(
    ("given", "expected"), [(None, "cuda"), (1, "cuda:1"), ("cpu", "cpu"), (torch.device("cpu"), "cpu")], ids=str
)
def test_device_of_an_accelerator_by_number_or_name(given, expected):
    assert named("cuda", given) == torch.device(expected)
