from __future__ import annotations

import pytest
import torch

from eng.checkpoint import verify_checkpoint

BIG = {"meta": {"iter": 1}, "state_dict": {"w": torch.arange(100_000.0)}}


class TestVerify:
    @pytest.fixture
    def whole(self, tmp_path):
        torch.save(BIG, tmp_path / "a.pth")
        return tmp_path / "a.pth"

    def test_whole_files_pass(self, whole, tmp_path):
        verify_checkpoint(whole)
        torch.save(BIG, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
        verify_checkpoint(tmp_path / "old.pth")

    @pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.9, 0.9999])
    def test_cut_files_do_not(self, whole, share):
        data = whole.read_bytes()
        whole.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ValueError, match="not a whole checkpoint"):
            verify_checkpoint(whole)

    def test_a_changed_bit_anywhere_in_a_record_is_found(self, whole):
        data = whole.read_bytes()
        for position in range(2000, len(data) - 2000, 40_001):
            changed = bytearray(data)
            changed[position] ^= 1
            whole.write_bytes(changed)
            with pytest.raises(ValueError, match="not a whole checkpoint"):
                verify_checkpoint(whole)

    def test_a_zip_that_is_no_checkpoint(self, tmp_path):
        import zipfile

        with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
            archive.writestr("hello", "world")
        with pytest.raises(ValueError, match=r"no data\.pkl"):
            verify_checkpoint(tmp_path / "a.pth")
