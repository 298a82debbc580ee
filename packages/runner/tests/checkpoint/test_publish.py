from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from eng.checkpoint import CheckpointWriteError, publish_checkpoint, save_checkpoint

CHECKPOINT = {"meta": {}, "state_dict": {"w": torch.ones(2)}, "optimizer": {}}


def test_the_copy_is_named_by_its_content(tmp_path):
    save_checkpoint(CHECKPOINT, tmp_path / "epoch_1.pth")
    published = publish_checkpoint(tmp_path / "epoch_1.pth")
    assert list(torch.load(published)) == ["meta", "state_dict"]
    digest = hashlib.sha256(Path(published).read_bytes()).hexdigest()
    assert published == str(tmp_path / f"epoch_1-{digest[:8]}.pth")
    assert publish_checkpoint(tmp_path / "epoch_1.pth") == published
    assert len(list(tmp_path.iterdir())) == 2


def test_the_copy_may_lie_elsewhere(tmp_path):
    save_checkpoint(CHECKPOINT, tmp_path / "epoch_1.pth")
    published = publish_checkpoint(tmp_path / "epoch_1.pth", out_dir=tmp_path / "out")
    assert [str(path) for path in (tmp_path / "out").iterdir()] == [published]


@pytest.mark.parametrize("backend_args", [None, {"backend": "fsspec"}], ids=["by address", "by arguments"])
def test_other_storages_hold_the_same_copy(tmp_path, backend_args):
    from eng.fileio import get

    save_checkpoint(CHECKPOINT, tmp_path / "a.b.pth")
    local = Path(publish_checkpoint(tmp_path / "a.b.pth", ["state_dict"]))
    save_checkpoint(CHECKPOINT, "memory://published/a.b.pth", backend_args=backend_args)
    remote = publish_checkpoint("memory://published/a.b.pth", ["state_dict"], backend_args=backend_args)
    assert remote == f"memory://published/{local.name}"
    assert get(remote) == local.read_bytes()


def test_entries_that_are_not_there_are_told(tmp_path, caplog):
    save_checkpoint(CHECKPOINT, tmp_path / "epoch_1.pth")
    published = publish_checkpoint(tmp_path / "epoch_1.pth", ["ema", "meta"])
    assert list(torch.load(published)) == ["meta"]
    assert "epoch_1.pth holds no ema to publish" in caplog.text
    with pytest.raises(KeyError, match="it has meta, state_dict, optimizer"):
        publish_checkpoint(tmp_path / "epoch_1.pth", keys=["weights"])


def test_a_folder_that_cannot_be_made_is_a_loud_error(tmp_path):
    save_checkpoint(CHECKPOINT, tmp_path / "epoch_1.pth")
    with pytest.raises(CheckpointWriteError, match=r"epoch_1\.pth"):
        publish_checkpoint(tmp_path / "epoch_1.pth", out_dir=tmp_path / "epoch_1.pth")
