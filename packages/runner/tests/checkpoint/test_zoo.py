from __future__ import annotations

import pytest
from checkpoint_parts import save

from eng.checkpoint import find_latest_checkpoint, save_checkpoint, write_pointer


class TestCheckpointsThatLieElsewhere:
    """As `CheckpointHook(out_dir=...)` writes them: the pointer stays in the work dir."""

    @pytest.fixture
    def elsewhere(self, tmp_path):
        for number in (1, 2):
            save(tmp_path / "out", f"epoch_{number}.pth", number, f"20260101_00000{number}")
        return tmp_path / "out"

    @pytest.mark.parametrize("prefix", ["", "file://"], ids=["path", "address"])
    def test_the_named_one_and_those_beside_it(self, tmp_path, elsewhere, warnings, prefix):
        write_pointer(tmp_path / "work", f"{prefix}{elsewhere / 'epoch_1.pth'}")
        assert find_latest_checkpoint(tmp_path / "work") == str(elsewhere / "epoch_2.pth")
        (elsewhere / "epoch_2.pth").write_bytes(b"cut")
        assert find_latest_checkpoint(tmp_path / "work") == str(elsewhere / "epoch_1.pth")
        assert "epoch_2.pth is skipped" in warnings.text

    def test_the_named_one_is_gone(self, tmp_path, elsewhere):
        write_pointer(tmp_path / "work", elsewhere / "epoch_7.pth")
        assert find_latest_checkpoint(tmp_path / "work") == str(elsewhere / "epoch_2.pth")

    def test_a_folder_with_checkpoints_of_its_own_counts_alone(self, tmp_path, elsewhere):
        mine = save(tmp_path / "work", "epoch_1.pth", 1, "20250101_000000")
        write_pointer(tmp_path / "work", elsewhere / "gone.pth")
        assert find_latest_checkpoint(tmp_path / "work") == mine

    def test_on_another_storage(self, tmp_path, warnings):
        pytest.importorskip("fsspec")
        save_checkpoint({"meta": {"iter": 1}}, "memory://latest/epoch_1.pth")
        write_pointer(tmp_path, "memory://latest/epoch_1.pth")
        assert find_latest_checkpoint(tmp_path) == "memory://latest/epoch_1.pth"
        write_pointer(tmp_path, "memory://latest/epoch_2.pth")
        assert find_latest_checkpoint(tmp_path) is None
        assert "memory://latest/epoch_2.pth is skipped" in warnings.text
