"""Time of counting, beside MMEngine 0.10.7 (which traces) where it is there."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/analysis/tests"))
from models import ResNet50, gpt

from eng.analysis import get_model_complexity_info

MODELS = Path(__file__).parents[1] / "packages/analysis/tests"
REFERENCE = """
import json, logging, sys, time
logging.disable(logging.CRITICAL)
sys.path.insert(0, sys.argv[1])
from models import ResNet50
from mmengine.analysis import get_model_complexity_info
model, times = ResNet50(), []
for _ in range(3):
    start = time.perf_counter()
    get_model_complexity_info(model, (3, 224, 224))
    times.append(time.perf_counter() - start)
print(json.dumps(min(times)))
"""


def best_of(function, rounds: int = 3) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def test_resnet50_no_slower_than_the_reference(versus, reference) -> None:
    model = ResNet50()
    ours = best_of(lambda: get_model_complexity_info(model, (3, 224, 224)))
    theirs = reference(REFERENCE, str(MODELS))
    versus.report("ResNet-50 at 224", f"{ours / theirs:.2f}x", "<= 1", f"{ours:.2f} s against {theirs:.2f} s")


def test_gpt_of_32_layers_on_meta_tensors(versus) -> None:
    with torch.device("meta"):
        model = gpt(4096, 32, 32)
    seconds = best_of(lambda: get_model_complexity_info(model, inputs=torch.zeros(1, 2048, 4096, device="meta")))
    versus.report("GPT, 32 layers, on meta tensors", f"{seconds:.2f} s", "< 2 s", "")
