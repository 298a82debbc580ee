from __future__ import annotations

import pytest
import torch

from eng.checkpoint import AsyncCheckpointWriter


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_snapshot_of_the_gpu_is_consistent_without_waiting(tmp_path):
    weight = torch.zeros(50_000_000, device="cuda")
    with AsyncCheckpointWriter() as writer:
        for step in range(3):
            writer.save({"w": weight}, tmp_path / f"{step}.pth")
            weight.add_(1)
    for step in range(3):
        loaded = torch.load(tmp_path / f"{step}.pth")["w"]
        assert loaded.device.type == "cuda" or bool((loaded == step).all())
        assert bool((loaded == step).all())
