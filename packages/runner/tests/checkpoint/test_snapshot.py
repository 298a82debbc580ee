from __future__ import annotations

import pytest
import torch

from eng.checkpoint import AsyncCheckpointWriter
from eng.runner.strategy.single_device import SingleDeviceStrategy


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("beside", [False, True])
def test_weights_of_a_gpu_are_copied_once_and_lie_on_the_cpu_in_the_file(tmp_path, beside):
    model = torch.nn.Linear(3, 2).cuda()
    strategy = SingleDeviceStrategy()
    state = strategy.model_state(model)
    assert state["weight"].data_ptr() == model.weight.data_ptr()
    writer = strategy.checkpoint_writer(None, beside=beside)
    writer.save({"state_dict": state}, str(tmp_path / "weights.pth"), lambda: None)
    writer.close()
    loaded = torch.load(tmp_path / "weights.pth")["state_dict"]
    assert {tensor.device.type for tensor in loaded.values()} == {"cpu"}
    assert torch.equal(loaded["weight"], model.weight.detach().cpu())
