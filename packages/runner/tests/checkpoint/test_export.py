from __future__ import annotations

import pytest
import torch

from eng.checkpoint import BrokenCheckpointError, export_weights, publish_checkpoint


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    weights = {"weight": torch.randn(20, 30), "bias": torch.randn(20)}
    torch.save({"meta": {"iter": 7, "time": "20260101_000000"}, "state_dict": weights}, tmp_path / "a.pth")
    return tmp_path / "a.pth"


def flip_a_weight(path) -> None:
    data = bytearray(path.read_bytes())
    place = data.find(torch.load(path)["state_dict"]["bias"].numpy().tobytes())
    data[place + 2] ^= 1
    path.write_bytes(data)


def test_a_changed_weight_is_not_handed_on(path):
    flip_a_weight(path)
    with pytest.raises(BrokenCheckpointError, match="does not match its checksum"):
        export_weights(path, path.with_name("b.pth"))
    with pytest.raises(BrokenCheckpointError, match="does not match its checksum"):
        publish_checkpoint(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.pth"]
