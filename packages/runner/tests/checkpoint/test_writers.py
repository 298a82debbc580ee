"""One contract for every way in which a checkpoint gets to its place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import pytest
import torch

from eng.checkpoint import CheckpointWriteError, CheckpointWriter, WriteBeside, WriteNothing, WriteNow, read_checkpoint
from eng.runner.strategy.sharded_files import ShardWriter


class WriterContract(ABC):
    """What holds for each writer that writes."""

    @abstractmethod
    def make(self) -> CheckpointWriter: ...

    def test_what_is_written_is_what_was_saved(self, tmp_path):
        writer, weights, intact = self.make(), torch.ones(3), []
        writer.prepare({"state_dict": {"w": weights}})
        path = tmp_path / "epoch_1.pth"
        writer.save({"state_dict": {"w": weights}}, str(path), lambda: intact.append(self.is_whole(path)))
        weights.zero_()  # training goes on
        writer.wait()
        assert intact == [True]
        assert self.read(path)["state_dict"]["w"].tolist() == [1, 1, 1]
        writer.close()
        writer.close()

    def test_nothing_follows_a_failure(self, tmp_path):
        (tmp_path / "file").write_text("")
        writer, intact = self.make(), []
        path = str(tmp_path / "file" / "epoch_1.pth")
        with pytest.raises(CheckpointWriteError, match="was not written"):
            self.save_and_wait(writer, path, lambda: intact.append(True))
        assert intact == []
        writer.close()

    def save_and_wait(self, writer, path, on_intact) -> None:
        writer.save({"state_dict": {"w": torch.ones(1)}}, path, on_intact)
        writer.wait()

    def read(self, path: Path) -> dict:
        return read_checkpoint(path)

    def is_whole(self, path: Path) -> bool:
        return "state_dict" in self.read(path)


class TestNow(WriterContract):
    def make(self):
        return WriteNow()


class TestBeside(WriterContract):
    def make(self):
        return WriteBeside()


class TestShards(WriterContract):
    @pytest.fixture(autouse=True)
    def alone(self):
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
        yield
        torch.distributed.destroy_process_group()

    def make(self):
        return ShardWriter(beside=False)

    def read(self, path):
        from eng.runner.strategy.sharded_files import read_folder

        return read_folder(str(path), "cpu")


def test_a_rank_that_gathers_only_writes_nothing(tmp_path):
    writer = WriteNothing()
    writer.prepare({})
    writer.save({}, str(tmp_path / "epoch_1.pth"), lambda: pytest.fail("another rank says so"))
    writer.wait()
    writer.close()
    assert list(tmp_path.iterdir()) == []
