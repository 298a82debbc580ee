from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eng.checkpoint import (
    CheckpointRecord,
    CheckpointRecords,
    checkpoints_to_remove,
    is_better,
    publish_checkpoint,
    save_checkpoint,
)

STEPS = st.lists(st.integers(1, 1000), unique=True, max_size=30)


@given(STEPS, st.integers(-1, 10), st.sets(st.integers(1, 1000), max_size=5), st.integers(0, 7))
def test_rules_hold_for_any_history(steps, max_keep, protected_steps, keep_every):
    saved = [CheckpointRecord(f"iter_{step}.pth", step) for step in steps]
    protected = {f"iter_{step}.pth" for step in protected_steps}
    gone = checkpoints_to_remove(saved, max_keep, protected, keep_every)
    assert [record.step for record in gone] == sorted(record.step for record in gone)
    assert set(gone) <= set(saved)
    if max_keep < 1:
        assert gone == []
        return
    newest = sorted(steps)[-max_keep:]
    assert not {record.step for record in gone} & set(newest)
    left = {record.step for record in saved} - {record.step for record in gone}
    assert all(step in newest or step in protected_steps or (keep_every and step % keep_every == 0) for step in left)
    rest = [record for record in saved if record not in gone]
    assert checkpoints_to_remove(rest, max_keep, protected, keep_every) == []


@pytest.mark.parametrize(
    ("value", "than", "rule", "expected"),
    [
        (0.9, 0.8, "greater", True), (0.8, 0.8, "greater", False), (0.7, 0.8, "less", True), (0.8, None, "less", True),
        (float("nan"), None, "greater", False), (0.1, float("nan"), "greater", True), (float("inf"), 1.0, "less", False),
    ],
)  # fmt: skip
def test_is_better(value, than, rule, expected):
    assert is_better(value, than, rule) is expected


def test_unknown_rule():
    with pytest.raises(ValueError, match="'biggest'"):
        is_better(1, 2, "biggest")


def test_records_survive_a_file(tmp_path):
    records = CheckpointRecords([CheckpointRecord("a.pth", 1)], {"acc": CheckpointRecord("b.pth", 1, 0.5)})
    records.write(tmp_path / "records.json")
    assert CheckpointRecords.read(tmp_path / "records.json") == records
    assert records.last.path == "a.pth"
    assert CheckpointRecords().last is None


def test_publishing_names_the_copy_by_its_content(tmp_path):
    import hashlib

    save_checkpoint({"meta": {}, "state_dict": {"w": torch.ones(2)}, "optimizer": {}}, tmp_path / "epoch_1.pth")
    published = publish_checkpoint(tmp_path / "epoch_1.pth")
    assert list(torch.load(published)) == ["meta", "state_dict"]
    digest = hashlib.sha256(Path(published).read_bytes()).hexdigest()
    assert published == str(tmp_path / f"epoch_1-{digest[:8]}.pth")
    assert publish_checkpoint(tmp_path / "epoch_1.pth") == published
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(KeyError, match="it has meta, state_dict, optimizer"):
        publish_checkpoint(tmp_path / "epoch_1.pth", keys=["weights"])
