"""Logging costs the same however long a run is, and nothing on the device."""

from __future__ import annotations

import pytest
import torch

from eng.logging import HistoryBuffer, MessageHub

REFERENCE = """
import json, timeit
from mmengine.logging import HistoryBuffer
import numpy as np
out = {}
for length in (1000, 900_000):
    buffer = HistoryBuffer(np.zeros(length), np.ones(length, dtype=int))
    out[str(length)] = min(timeit.repeat(lambda: buffer.update(1.0), number=20, repeat=5)) / 20 * 1e6
print(json.dumps(out))
"""


def filled(length):
    buffer = HistoryBuffer()
    for _ in range(length):
        buffer.update(1.0)
    return buffer


@pytest.mark.parametrize("value", [1.0, torch.tensor(1.0)], ids=["number", "tensor"])
def test_an_update_at_a_million_entries_costs_what_it_costs_at_a_thousand(versus, value):
    long, short = filled(1_000_000), filled(1000)
    versus(
        f"HistoryBuffer.update at 1 M against 1 k, {type(value).__name__}",
        lambda: long.update(value),
        lambda: short.update(value),
        target="<= 1.1x",
        number=20_000,
    )


def test_an_update_against_the_reference(versus, reference):
    theirs = reference(REFERENCE)
    buffer = filled(900_000)
    ours = versus.per_call("HistoryBuffer.update at 900 k", lambda: buffer.update(1.0), target="<= 1 us")
    detail = f"the reference takes {theirs['900000']:.0f} us, and {theirs['1000']:.1f} us at 1 k"
    versus.report("HistoryBuffer.update at 900 k / reference", f"{ours / theirs['900000']:.5f}x", "<= 0.01x", detail)


def test_a_hub_with_tensors(versus):
    hub = MessageHub("benchmark")
    loss = torch.tensor(1.0)
    versus.per_call(
        "MessageHub.update_scalar, a tensor", lambda: hub.update_scalar("train/loss", loss), target="<= 2 us"
    )
