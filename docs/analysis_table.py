"""Prints the table of docs/analysis.md: formulas on paper beside eng, torch and MMEngine 0.10.7.

Run it in an environment with eng-analysis; ENG_REFERENCE_PYTHON names an interpreter that has MMEngine 0.10.7.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from eng.analysis import FlopAnalyzer

MODELS = Path(__file__).parents[1] / "packages/analysis/tests"
sys.path.insert(0, str(MODELS))
from models import Block, ResNet50, ViTB16  # noqa: E402

CASES = {
    "Linear(512, 256), 8 rows": (lambda: nn.Linear(512, 256), (8, 512), 8 * 512 * 256),
    "Conv2d(3, 64, 7, stride 2), 224": (lambda: nn.Conv2d(3, 64, 7, 2, 3), (1, 3, 224, 224), 64 * 112**2 * 3 * 49),
    "LSTM(64, 128), 10 steps": (lambda: nn.LSTM(64, 128), (10, 4, 64), 40 * 512 * 192),
    "GPT block, 768 wide, 512 tokens": (lambda: Block(768, 12, causal=True), (1, 512, 768), 512 * (12 * 768**2 + 2 * 512 * 768)),
    "ViT-B/16, 224": (ViTB16, (1, 3, 224, 224), 768 * 196 * 768 + 12 * (197 * 12 * 768**2 + 2 * 197**2 * 768) + 768_000),
    "ResNet-50, 224": (ResNet50, (1, 3, 224, 224), 4_089_184_256),
}  # fmt: skip
REFERENCE = """
import json, logging, sys
logging.disable(logging.CRITICAL)
sys.path.insert(0, sys.argv[1])
import torch
from torch import nn
from models import Block, ResNet50, ViTB16
from mmengine.analysis import FlopAnalyzer
models = [nn.Linear(512, 256), nn.Conv2d(3, 64, 7, 2, 3), nn.LSTM(64, 128), Block(768, 12, causal=True), ViTB16(), ResNet50()]
print(json.dumps([FlopAnalyzer(m, (torch.zeros(s),)).total() for m, s in zip(models, json.loads(sys.argv[2]))]))
"""


def products(model: nn.Module, x: torch.Tensor) -> int:
    """Multiply-adds alone: what the formulas on paper count."""
    analyzer = FlopAnalyzer(model, x)
    return sum(cost.macs for cost in analyzer.tally.costs[""].values())


def torch_counts(model: nn.Module, x: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        model(x)
    return counter.get_total_flops() // 2


def reference_counts() -> list[int | str]:
    python = os.environ.get("ENG_REFERENCE_PYTHON")
    if not python:
        return ["not run"] * len(CASES)
    shapes = json.dumps([shape for _, shape, _ in CASES.values()])
    done = subprocess.run(
        [python, "-W", "ignore", "-c", REFERENCE, str(MODELS), shapes], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    print("| model | on paper | eng, multiply-adds | eng, with norms and pools | torch | MMEngine 0.10.7 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (name, (make, shape, paper)), theirs in zip(CASES.items(), reference_counts(), strict=True):
        model, x = make(), torch.zeros(shape)
        cells = [paper, products(model, x), FlopAnalyzer(model, x).total(), torch_counts(model, x), theirs]
        print(f"| {name} | " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |")


if __name__ == "__main__":
    main()
