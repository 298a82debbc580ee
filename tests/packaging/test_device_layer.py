"""Only `eng.device` speaks to a vendor's part of torch; everything else works on any accelerator of its table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "packages/dist/src/eng/device"
VENDORS = "cuda|xpu|mps|npu|mlu|musa|dipu|mtia|hpu"
VENDOR_CALL = re.compile(
    rf"\btorch\.(?:{VENDORS})\b|\bfrom torch import .*\b(?:{VENDORS})\b|getattr\(torch, (?:[\w.]+\.type|device\w*)\)"
)


def vendor_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if VENDOR_CALL.search(line)]


def test_no_package_calls_a_vendor_outside_of_the_device_layer() -> None:
    offences = []
    for path in sorted(ROOT.glob("packages/*/src/**/*.py")):
        if LAYER not in path.parents:
            offences += [f"{path.relative_to(ROOT)}: {line}" for line in vendor_lines(path.read_text("utf-8"))]
    assert not offences, "call eng.device in place of\n" + "\n".join(offences)


@pytest.mark.parametrize(
    "line",
    [
        "torch.cuda.empty_cache()", "if torch.xpu.is_available():", "import torch.mps", "from torch.cuda import Event",
        "from torch import cuda, nn", "getattr(torch, self._device.type)", "torch.npu",
    ],
)  # fmt: skip
def test_the_contract_sees_a_call(line: str) -> None:
    assert vendor_lines(line) == [line]


@pytest.mark.parametrize(
    "line",
    ["torch.version.cuda", "torch.backends.cuda.matmul", "torch.accelerator.synchronize()", "getattr(torch, name)"],
)
def test_the_contract_leaves_the_rest(line: str) -> None:
    assert vendor_lines(line) == []
