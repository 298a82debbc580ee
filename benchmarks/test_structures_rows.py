"""Rows of three fields of 100 rows: eng.structures beside the bare tensor operations and the reference."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

import torch

from eng.structures import InstanceData

BOXES, SCORES, LABELS = torch.rand(100, 4), torch.rand(100), torch.arange(100)
FIELDS = {"bboxes": BOXES, "scores": SCORES, "labels": LABELS}
MASK = SCORES > 0.5
# Many short rounds: on a machine that others use too, some of them run undisturbed on both sides.
SHORT = {"rounds": 200, "number": 300}

REFERENCE = """
import json, timeit, torch
from mmengine.structures import InstanceData
torch.set_num_threads(1)
fields = dict(bboxes=torch.rand(100, 4), scores=torch.rand(100), labels=torch.arange(100))
data, mask = InstanceData(**fields), fields['scores'] > 0.5
calls = dict(mask=lambda: data[mask], slice=lambda: data[10:50], build=lambda: InstanceData(**fields),
             cat=lambda: InstanceData.cat([data] * 4))
print(json.dumps({name: min(timeit.repeat(call, number=300, repeat=200)) / 300 for name, call in calls.items()}))
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
        **SHORT,
    )
    versus(
        "InstanceData[a:b] / bare",
        lambda: data[10:50],
        lambda: (BOXES[rows], SCORES[rows], LABELS[rows]),
        target="<= 2",
        **SHORT,
    )
    versus.report("InstanceData(3 fields)", f"{best_us(lambda: InstanceData(**FIELDS)):.2f} us", "<= 5 us", "")
    # Four elements that share nothing; the bare side is what one would write without them.
    four = [InstanceData(**{name: field.clone() for name, field in FIELDS.items()}) for _ in range(4)]
    (b0, s0, l0), (b1, s1, l1), (b2, s2, l2), (b3, s3, l3) = (each.values() for each in four)
    versus(
        "InstanceData.cat of 4 / bare",
        lambda: InstanceData.cat(four),
        lambda: (torch.cat([b0, b1, b2, b3]), torch.cat([s0, s1, s2, s3]), torch.cat([l0, l1, l2, l3])),
        target="<= 1.5",
        **SHORT,
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
        ours, peer = best_us(call), theirs[name] * 1e6
        versus.report(f"{name} / reference", f"{ours / peer:.2f}x", "< 1", f"{ours:.2f} us against {peer:.2f} us")


def best_us(call: Callable[[], object]) -> float:
    """Microseconds per call, the best of many short rounds."""
    number = SHORT["number"]
    return min(timeit.repeat(call, number=number, repeat=SHORT["rounds"])) / number * 1e6
