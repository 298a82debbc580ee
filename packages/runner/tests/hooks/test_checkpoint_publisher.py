from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import torch

from eng.checkpoint import save_checkpoint
from eng.hooks._checkpoint_publisher import Publisher

RUN = logging.getLogger("eng.run")


def test_each_checkpoint_gets_a_copy_named_by_its_content(tmp_path, caplog) -> None:
    sources = [str(tmp_path / f"epoch_{number}.pth") for number in (1, 2)]
    for number, source in enumerate(sources):
        save_checkpoint({"state_dict": {"w": torch.tensor(number)}, "optimizer": {}}, source)
    with caplog.at_level(logging.INFO, "eng.run"):
        Publisher(["state_dict"], None).publish(sources, str(tmp_path / "out"), RUN)
    copies = sorted((tmp_path / "out").iterdir())
    assert [copy.stem.split("-")[0] for copy in copies] == ["epoch_1", "epoch_2"]
    for copy in copies:
        assert set(torch.load(copy)) == {"state_dict"}
        assert hashlib.sha256(copy.read_bytes()).hexdigest().startswith(copy.stem.split("-")[1])
    assert [record.message.rsplit(" with ", 1)[1] for record in caplog.records] == ["state_dict"] * 2


def test_what_cannot_be_published_is_reported_and_the_next_one_is_made(tmp_path, caplog) -> None:
    source = tmp_path / "epoch_1.pth"
    save_checkpoint({"state_dict": {}}, str(source))
    bare = tmp_path / "bare.pth"
    save_checkpoint({"meta": {}}, str(bare))
    missing = str(tmp_path / "best_acc_epoch_1.pth")
    Publisher(["state_dict"], None).publish([missing, str(bare), str(source)], str(tmp_path), RUN)
    assert f"Nothing is published of {missing}" in caplog.text
    assert "bare.pth has none of state_dict" in caplog.text
    assert [Path(path).name.split("-")[0] for path in tmp_path.glob("*-*.pth")] == ["epoch_1"]
