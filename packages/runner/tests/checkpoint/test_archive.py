"""Damage of single bits: it is seen wherever a checkpoint is loaded."""

from __future__ import annotations

import random
import time

import pytest
import torch
from checkpoint_parts import flip_a_weight

from eng.checkpoint import (
    BrokenCheckpointError,
    CheckpointLoader,
    UntrustedCheckpointError,
    load_checkpoint,
    read_checkpoint,
)


def same(a, b) -> bool:
    return a["meta"] == b["meta"] and all(
        torch.equal(a["state_dict"][key], b["state_dict"][key]) for key in b["state_dict"]
    )


@pytest.mark.parametrize("load", [read_checkpoint, CheckpointLoader.load_checkpoint, load_checkpoint])
def test_of_600_single_bit_flips_none_gives_other_values_in_silence(path, load, caplog):
    original, intact = torch.load(path), path.read_bytes()
    rng = random.Random(0)
    seen = 0
    for _ in range(600):
        damaged = bytearray(intact)
        damaged[rng.randrange(len(intact))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            assert same(load(path), original)
        except (BrokenCheckpointError, UntrustedCheckpointError):
            seen += 1
    assert seen > 300


def test_a_changed_weight_is_an_error_unless_told_not_to_look(path):
    flip_a_weight(path)
    for trust in (False, True):
        with pytest.raises(BrokenCheckpointError, match="does not match its checksum"):
            load_checkpoint(path, trust=trust)
        assert "state_dict" in load_checkpoint(
            torch.nn.Linear(30, 20), path, trust=trust, verify=False, logger="silent"
        )
    assert "state_dict" in read_checkpoint(path, verify=False)


def test_looking_costs_less_than_another_reading(tmp_path):
    torch.save({"state_dict": {str(i): torch.randn(1 << 20) for i in range(16)}}, tmp_path / "a.pth")

    def seconds(load) -> float:
        times = []
        for _ in range(5):
            began = time.thread_time()
            load()
            times.append(time.thread_time() - began)
        return min(times)

    plain = seconds(lambda: torch.load(tmp_path / "a.pth"))
    assert seconds(lambda: read_checkpoint(tmp_path / "a.pth")) < 2 * plain + 0.02
