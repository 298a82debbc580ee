"""Rows of three fields of 100 rows: eng.structures beside the bare tensor operations and the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from eng.structures import InstanceData

BOXES, SCORES, LABELS = torch.rand(100, 4), torch.rand(100), torch.arange(100)
FIELDS = {"bboxes": BOXES, "scores": SCORES, "labels": LABELS}
MASK = SCORES > 0.5

REFERENCE = """
import json, timeit, torch
from mmengine.structures import InstanceData
torch.set_num_threads(1)
fields = dict(bboxes=torch.rand(100, 4), scores=torch.rand(100), labels=torch.arange(100))
data, mask = InstanceData(**fields), fields['scores'] > 0.5
calls = dict(mask=lambda: data[mask], slice=lambda: data[10:50], build=lambda: InstanceData(**fields),
             cat=lambda: InstanceData.cat([data] * 4))
print(json.dumps({name: min(timeit.repeat(call, number=2000, repeat=7)) / 2000 for name, call in calls.items()}))
"""


def test_rows_beside_bare_tensors(versus: Any) -> None:
    torch.set_num_threads(1)
    data = InstanceData(**FIELDS)
    rows = slice(10, 50)
    versus(
        "InstanceData[mask] / bare",
        lambda: data[MASK],
        lambda: (BOXES[MASK], SCORES[MASK], LABELS[MASK]),
        target="<= 1.5",
    )
    versus(
        "InstanceData[a:b] / bare",
        lambda: data[10:50],
        lambda: (BOXES[rows], SCORES[rows], LABELS[rows]),
        target="<= 2",
    )
    versus.per_call("InstanceData(3 fields)", lambda: InstanceData(**FIELDS), target="<= 5 us")
    four = [InstanceData(**{name: field.clone() for name, field in FIELDS.items()}) for _ in range(4)]
    boxes, scores, labels = ([getattr(each, name) for each in four] for name in FIELDS)
    versus(
        "InstanceData.cat of 4 / bare",
        lambda: InstanceData.cat(four),
        lambda: (torch.cat(boxes), torch.cat(scores), torch.cat(labels)),
        target="<= 1.5",
    )


def test_rows_beside_the_reference(versus: Any, reference: Callable[..., Any]) -> None:
    theirs = reference(REFERENCE)
    data = InstanceData(**FIELDS)
    calls: dict[str, Callable[[], object]] = {
        "mask": lambda: data[MASK],
        "slice": lambda: data[10:50],
        "build": lambda: InstanceData(**FIELDS),
        "cat": lambda: InstanceData.cat([data] * 4),
    }
    for name, call in calls.items():
        ours_us = versus.per_call(f"{name} (ours)", call, target="-")
        ratio, us = ours_us / (theirs[name] * 1e6), theirs[name] * 1e6
        versus.report(f"{name} / reference", f"{ratio:.2f}x", "< 1", f"{ours_us:.2f} us against {us:.2f} us")
