"""Folders of torch's distributed checkpoints: no code of theirs runs, and no file beside them is read."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint import metadata as metadata_module
from torch.distributed.checkpoint.metadata import BytesStorageMetadata

from eng.checkpoint import BrokenCheckpointError, UntrustedCheckpointError, read_checkpoint, save_checkpoint
from eng.runner.strategy import export_to_file
from eng.runner.strategy.sharded_files import read_folder


class Calls:
    def __reduce__(self):
        return os.system, ("touch owned",)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "epoch_1.pth"
    tensors = {"state_dict/w": torch.arange(6.0).view(2, 3), "state_dict/b": torch.ones(3)}
    dcp.save(tensors, checkpoint_id=path, no_dist=True)
    weights = {"w": "sharded tensor: state_dict/w", "b": "sharded tensor: state_dict/b"}
    save_checkpoint({"meta": {"epoch": 1, "iter": 4}, "state_dict": weights}, path / "common.pth")
    return path


def change(folder: Path, edit) -> None:
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    edit(metadata)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


def place_of(metadata):
    return next(iter(metadata.storage_data.values()))


def test_tensors_are_read(folder):
    loaded = read_folder(str(folder), "cpu")
    assert loaded["state_dict"]["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert loaded["meta"]["iter"] == 4
    export_to_file(str(folder), "one.pth")
    assert torch.load("one.pth")["state_dict"]["b"].tolist() == [1, 1, 1]


PLACES = {
    "planner": lambda metadata: setattr(metadata, "planner_data", Calls()),
    "version": lambda metadata: setattr(metadata, "version", Calls()),
    "key": lambda metadata: metadata.state_dict_metadata.update({"x": Calls()}),
    "storage": lambda metadata: metadata.storage_data.update({"x": Calls()}),
    "properties": lambda metadata: setattr(metadata.state_dict_metadata["state_dict/w"], "chunks", Calls()),
    "whole": None,
}


@pytest.mark.parametrize("read", [lambda f: read_folder(str(f), "cpu"), lambda f: export_to_file(str(f), "one.pth")])
@pytest.mark.parametrize("place", PLACES)
def test_no_code_of_the_metadata_runs(folder, place, read):
    if place == "whole":
        (folder / ".metadata").write_bytes(pickle.dumps(Calls()))
    else:
        change(folder, PLACES[place])
    with pytest.raises(
        UntrustedCheckpointError, match=r"\.metadata is refused: unpickling it would call posix\.system"
    ):
        read(folder)
    assert not Path("owned").exists()


def test_no_code_of_a_part_runs(folder):
    """torch reads an entry of bytes by pickle, so that the metadata may not have one."""
    change(folder, lambda metadata: metadata.state_dict_metadata.update({"state_dict/w": BytesStorageMetadata()}))
    with pytest.raises(UntrustedCheckpointError, match="BytesStorageMetadata"):
        read_folder(str(folder), "cpu")
    assert not Path("owned").exists()


def test_no_code_of_a_tensor_s_bytes_runs(folder):
    import io

    buffer = io.BytesIO()
    torch.save(Calls(), buffer)
    (folder / "__0_0.distcp").write_bytes(buffer.getvalue())

    def edit(metadata):
        for place in metadata.storage_data.values():
            place.offset, place.length = 0, len(buffer.getvalue())

    change(folder, edit)
    with pytest.raises(UntrustedCheckpointError, match=r"posix\.system"):
        read_folder(str(folder), "cpu")
    assert not Path("owned").exists()


WRONG = {
    "file-elsewhere": lambda m: setattr(place_of(m), "relative_path", "../secret"),
    "absolute-file": lambda m: setattr(place_of(m), "relative_path", "/etc/hostname"),
    "beyond-the-file": lambda m: setattr(place_of(m), "length", 10**9),
    "before-the-file": lambda m: setattr(place_of(m), "offset", -5),
    "tensor-of-terabytes": lambda m: setattr(m.state_dict_metadata["state_dict/w"], "size", torch.Size([2**20, 2**20])),
    "chunk-left-out": lambda m: setattr(m.state_dict_metadata["state_dict/w"], "chunks", []),
    "tensor-left-out": lambda m: m.state_dict_metadata.pop("state_dict/w"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_folder_that_does_not_fit_its_files_is_told(folder, name):
    change(folder, WRONG[name])
    with pytest.raises(BrokenCheckpointError, match="is not a whole checkpoint"):
        read_folder(str(folder), "cpu")


def test_a_flipped_bit_is_seen(folder):
    path = folder / "__0_0.distcp"
    data = bytearray(path.read_bytes())
    data[data.find(torch.arange(6.0).numpy().tobytes()) + 5] ^= 4
    path.write_bytes(data)
    with pytest.raises(BrokenCheckpointError, match="does not match its checksum"):
        read_folder(str(folder), "cpu")


def test_truncated_metadata_is_told(folder):
    data = (folder / ".metadata").read_bytes()
    for length in (0, 1, 10, len(data) // 2, len(data) - 1):
        (folder / ".metadata").write_bytes(data[:length])
        with pytest.raises(BrokenCheckpointError, match="cut short"):
            read_folder(str(folder), "cpu")


def test_random_edits_of_the_metadata_give_tensors_or_one_of_two_errors(folder):
    import random

    from _fuzz_driver import damaged, edited, operations

    data, rng = (folder / ".metadata").read_bytes(), random.Random(0)
    parts = operations(data)
    names = ["os.system", "torch.Size", "torch.float32", "torch.distributed.checkpoint.metadata.MetadataIndex"]
    outcomes = set()
    for _ in range(300):
        content = edited(rng, parts, parts, names) if rng.random() < 0.8 else damaged(rng, data)
        (folder / ".metadata").write_bytes(content)
        try:
            read_folder(str(folder), "cpu")
            outcomes.add("tensors")
        except (BrokenCheckpointError, UntrustedCheckpointError) as error:
            outcomes.add(type(error).__name__)
    assert outcomes == {"tensors", "BrokenCheckpointError", "UntrustedCheckpointError"}


def test_the_classes_of_the_metadata_are_refused_in_files(tmp_path):
    """The two tables are apart: a plain checkpoint has no need of torch's metadata."""
    torch.save({"x": BytesStorageMetadata()}, tmp_path / "a.pth")
    with pytest.raises(UntrustedCheckpointError, match="BytesStorageMetadata"):
        read_checkpoint(tmp_path / "a.pth")


class MemberByName:
    """Pickled as Python 3.11.0 to 3.11.3 pickle a member of an enumeration."""

    def __init__(self, target, name) -> None:
        self.target, self.name = target, name

    def __reduce__(self):
        return getattr, (self.target, self.name)


def test_a_member_of_the_memory_layouts_may_be_pickled_by_its_name(folder):
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    layouts = metadata_module._MEM_FORMAT_ENCODING
    metadata.planner_data = MemberByName(layouts, "TORCH_CONTIGUOUS_FORMAT")
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    assert read_folder(str(folder), "cpu")["state_dict"]["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("target", ["text", metadata_module.Metadata], ids=["text", "another class"])
def test_nothing_else_is_looked_up_by_name(folder, target):
    change(folder, lambda metadata: setattr(metadata, "planner_data", MemberByName(target, "system")))
    with pytest.raises(UntrustedCheckpointError, match=r"\.metadata is refused"):
        read_folder(str(folder), "cpu")
