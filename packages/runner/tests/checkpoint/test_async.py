from __future__ import annotations

import logging
import threading
from collections import OrderedDict

import pytest
import torch
from torch import nn

from eng.checkpoint import AsyncCheckpointWriter, CheckpointWriteError, save_checkpoint


class Gate:
    """A writer that waits until it may go on, and notes what is under way."""

    def __init__(self):
        self.open, self.active, self.most, self.names = threading.Event(), 0, 0, []

    def __call__(self, checkpoint, filename, backend_args=None):
        self.active += 1
        self.most = max(self.most, self.active)
        assert self.open.wait(20)
        save_checkpoint(checkpoint, filename)
        self.names.append(filename)
        self.active -= 1


def test_what_training_changes_after_save_is_not_in_the_file(tmp_path):
    gate = Gate()
    model = nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    expected = {key: value.clone() for key, value in model.state_dict().items()}
    moments = optimizer.state_dict()["state"][0]["exp_avg"].clone()
    history = [1, {"a": 2}]
    with AsyncCheckpointWriter(gate) as writer:
        writer.save(
            {"state_dict": model.state_dict(), "optimizer": optimizer.state_dict(), "h": history}, tmp_path / "a.pth"
        )
        optimizer.step()
        history[1]["a"] = 3
        gate.open.set()
    loaded = torch.load(tmp_path / "a.pth")
    assert all(torch.equal(loaded["state_dict"][key], expected[key]) for key in expected)
    assert torch.equal(loaded["optimizer"]["state"][0]["exp_avg"], moments)
    assert loaded["h"] == [1, {"a": 2}]


def test_at_most_one_write_is_under_way(tmp_path):
    gate = Gate()
    with AsyncCheckpointWriter(gate) as writer:
        writer.save({"x": torch.ones(1)}, tmp_path / "a.pth")
        assert writer.is_busy
        second = threading.Thread(target=writer.save, args=({"x": torch.zeros(1)}, tmp_path / "b.pth"))
        second.start()
        second.join(0.2)
        assert second.is_alive(), "the second save waits"
        gate.open.set()
        second.join(20)
    assert gate.most == 1
    assert torch.load(tmp_path / "a.pth")["x"] == 1
    assert torch.load(tmp_path / "b.pth")["x"] == 0


@pytest.mark.parametrize("then", ["save", "wait", "close"])
def test_a_failure_is_logged_at_once_and_raised_by_the_next_call(tmp_path, caplog, then):
    (tmp_path / "file").write_text("a file where a folder should be")
    writer = AsyncCheckpointWriter()
    with caplog.at_level(logging.ERROR, "eng"):
        writer.save({"x": 1}, tmp_path / "file" / "a.pth")
        writer._thread.join()
    assert "beside training failed" in caplog.text
    with pytest.raises(CheckpointWriteError, match=r"file/a\.pth"):
        getattr(writer, then)(*([{"x": 1}, tmp_path / "b.pth"] if then == "save" else []))
    writer.close()


def test_leaving_the_context_waits_and_raises(tmp_path):
    def fail(*args, **kwargs):
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="on fire"), AsyncCheckpointWriter(fail) as writer:
        writer.save({}, tmp_path / "a.pth")


def test_on_committed_runs_after_the_file_is_whole(tmp_path):
    seen = []
    with AsyncCheckpointWriter() as writer:
        writer.save({"x": 1}, tmp_path / "a.pth", on_committed=lambda name: seen.append(torch.load(name)))
    assert seen == [{"x": 1}]


def test_memory_is_used_again(tmp_path):
    state = {"w": torch.ones(10), "b": [torch.ones(3)]}
    writer = AsyncCheckpointWriter()
    writer.prepare(state)
    writer.wait()
    addresses = {buffer.data_ptr() for buffer in writer._buffers._buffers.values()}
    for number in range(3):
        state["w"].fill_(number)
        writer.save(state, tmp_path / "a.pth")
    writer.wait()
    assert {buffer.data_ptr() for buffer in writer._buffers._buffers.values()} == addresses
    assert torch.load(tmp_path / "a.pth")["w"][0] == 2
    writer.close()
    assert not writer._buffers._buffers


def test_a_changed_structure_gets_memory_of_its_own(tmp_path):
    with AsyncCheckpointWriter() as writer:
        writer.save({"w": torch.ones(10)}, tmp_path / "a.pth")
        writer.save({"w": torch.zeros(3, dtype=torch.float64)}, tmp_path / "a.pth")
        writer.wait()
        assert len(writer._buffers._buffers) == 1
    assert torch.load(tmp_path / "a.pth")["w"].shape == (3,)


def test_tied_weights_stay_tied_and_versions_are_kept(tmp_path):
    weight = torch.ones(1000)
    state = OrderedDict(a=weight, b=weight)
    state._metadata = {"": {"version": 2}}
    with AsyncCheckpointWriter() as writer:
        writer.save({"state_dict": state}, tmp_path / "a.pth")
    loaded = torch.load(tmp_path / "a.pth")["state_dict"]
    assert loaded["a"].data_ptr() == loaded["b"].data_ptr()
    assert loaded._metadata == {"": {"version": 2}}


def test_a_failure_of_preparing_is_not_silent_either():
    class Refuses:
        def __deepcopy__(self, memo):
            raise RuntimeError("cannot be copied")

    writer = AsyncCheckpointWriter()
    writer.prepare({"x": Refuses()})
    with pytest.raises(RuntimeError, match="cannot be copied"):
        writer.wait()
