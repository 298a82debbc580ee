"""Damage of single bits: it is seen wherever a checkpoint is loaded."""

from __future__ import annotations

import io
import random
from pathlib import Path

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


def test_a_verified_file_is_read_once(tmp_path, monkeypatch):
    read_bytes = []

    class Counting(io.FileIO):
        def readinto(self, buffer):
            read_bytes.append(super().readinto(buffer))
            return read_bytes[-1]

    original = Path.open

    def opened(path, mode="r", *args, **options):
        if mode == "rb":
            return io.BufferedReader(Counting(path))
        return original(path, mode, *args, **options)

    path = tmp_path / "a.pth"
    torch.save({"state_dict": {str(i): torch.randn(1 << 16) for i in range(16)}}, path)
    monkeypatch.setattr(Path, "open", opened)
    read_checkpoint(path)
    assert 0.9 * path.stat().st_size < sum(read_bytes) < 1.1 * path.stat().st_size
