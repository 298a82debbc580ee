"""Checkpoints that a process beside the rank writes: their contents, its signals and its end, and refused settings."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from eng.checkpoint import CheckpointWriteError
from eng.hooks import CheckpointHook
from eng.runner import SettingsError
from eng.runner.strategy import shard_process
from eng.runner.strategy.sharded_files import ShardWriter, read_folder
from eng.runner.strategy.single_device import SingleDeviceStrategy

pytestmark = pytest.mark.skipif(
    not hasattr(shard_process.importlib.import_module("torch.distributed.checkpoint.staging"), "DefaultStager"),
    reason="this torch has no stager for a process",
)


@pytest.fixture
def alone():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def blocked_signals(pid):
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigBlk")]
    mask = int(line.split()[1], 16)
    return {number for number in signal.Signals if mask >> (number - 1) & 1}


@pytest.mark.timeout(300)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_process_writes_shards(alone, tmp_path):
    tensor = distribute_tensor(torch.arange(4.0), init_device_mesh("cpu", (1,)), [Shard(0)])
    writer, intact = ShardWriter(beside="process"), []
    try:
        writer.save({"state_dict": {"w": tensor}}, str(tmp_path / "iter_1.pth"), lambda: intact.append(1))
        with torch.no_grad():
            tensor.zero_()  # training goes on
        writer.save({"state_dict": {"w": tensor}}, str(tmp_path / "iter_2.pth"), lambda: intact.append(2))
        writer.close()
        assert intact == [1, 2]
        weights = [read_folder(str(tmp_path / f"iter_{n}.pth"), "cpu")["state_dict"]["w"].tolist() for n in (1, 2)]
        assert weights == [[0, 1, 2, 3], [0, 0, 0, 0]]

        (process,) = multiprocessing.active_children()
        assert blocked_signals(process.pid) >= {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}
        assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())

        os.kill(process.pid, signal.SIGKILL)
        process.join()
        writer.save({"state_dict": {"w": tensor}}, str(tmp_path / "iter_3.pth"), lambda: intact.append(3))
        dead = r"iter_3\.pth.*checkpoint process of rank 0: .*(dead|[Bb]roken)"
        with pytest.raises(CheckpointWriteError, match=dead):
            writer.close()
        assert intact == [1, 2]
    finally:
        writer.shut_down()
    assert multiprocessing.active_children() == []


def test_a_process_needs_shards():
    with pytest.raises(SettingsError, match="needs a sharded checkpoint.*SingleDeviceStrategy writes one file"):
        SingleDeviceStrategy().checkpoint_writer(None, beside="process")


def test_a_torch_without_stagers_is_named(monkeypatch):
    monkeypatch.delattr(shard_process.importlib.import_module("torch.distributed.checkpoint.staging"), "DefaultStager")
    with pytest.raises(SettingsError, match=rf"which torch {torch.__version__[:4]}.* does not have"):
        ShardWriter(beside="process")


def test_async_save_refuses_other_names():
    with pytest.raises(ValueError, match="True, False or 'process', got 'thread'"):
        CheckpointHook(async_save="thread")
