from __future__ import annotations

import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from eng.checkpoint import BrokenCheckpointError, UntrustedCheckpointError, load_checkpoint, read_checkpoint


class Calls:
    """Pickles as a call of something."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class SetsState:
    def __reduce__(self):
        return (OrderedDict, (), {"__class__": Calls(os.system, "touch owned")})


MALICIOUS = {
    "os.system": Calls(os.system, "touch owned"),
    "subprocess": Calls(subprocess.Popen, ["touch", "owned"]),
    "eval": Calls(eval, "__import__('os').system('touch owned')"),
    "exec": Calls(exec, "open('owned', 'w')"),
    "getattr": Calls(getattr, str, "join"),
    "import": Calls(__import__, "os"),
    "open": Calls(open, "owned", "w"),
    "torch-load": Calls(torch.load, "x"),
    "in-state": SetsState(),
    "nested": {"state_dict": [Calls(os.system, "touch owned")]},
}


class TestMalicious:
    @pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
    @pytest.mark.parametrize("name", MALICIOUS)
    def test_is_refused_and_not_run(self, name, zipped, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        torch.save({"state_dict": {}, "x": MALICIOUS[name]}, "evil.pth", _use_new_zipfile_serialization=zipped)
        with pytest.raises(UntrustedCheckpointError, match="trust=True"):
            read_checkpoint("evil.pth")
        assert not Path("owned").exists()

    @pytest.mark.parametrize("protocol", [0, 2, 4])
    def test_a_bare_pickle_is_refused(self, tmp_path, monkeypatch, protocol, recwarn):
        monkeypatch.chdir(tmp_path)
        Path("evil.pth").write_bytes(pickle.dumps(Calls(os.system, "touch owned"), protocol=protocol))
        with pytest.raises(ValueError, match=r"evil\.pth"):
            read_checkpoint("evil.pth")
        assert not Path("owned").exists()

    def test_names_the_file_and_what_it_would_call(self, tmp_path):
        torch.save(MALICIOUS["os.system"], tmp_path / "evil.pth")
        with pytest.raises(UntrustedCheckpointError) as caught:
            read_checkpoint(tmp_path / "evil.pth")
        assert caught.value.culprit.endswith(".system")
        assert str(tmp_path / "evil.pth") in str(caught.value)

    def test_is_the_user_s_own_decision(self, tmp_path):
        torch.save({"state_dict": {}, "x": Calls(eval, "6 * 7")}, tmp_path / "mine.pth")
        assert load_checkpoint(torch.nn.Identity(), tmp_path / "mine.pth", logger="silent", trust=True)["x"] == 42
        with pytest.raises(UntrustedCheckpointError, match="eval"):
            load_checkpoint(torch.nn.Identity(), tmp_path / "mine.pth", logger="silent")


class TestBroken:
    @pytest.mark.parametrize(
        "content", [b"", b"P", b"hello, this is no checkpoint", b"PK\x03\x04 cut", b"\x80\x02}q"], ids=repr
    )
    def test_no_checkpoint(self, tmp_path, content):
        (tmp_path / "a.pth").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.pth"):
            read_checkpoint(tmp_path / "a.pth")

    @pytest.mark.parametrize("content", [b"hi\n", b"hello, this is no checkpoint"], ids=repr)
    def test_a_text_is_told_as_what_it_is(self, tmp_path, content):
        (tmp_path / "a.pth").write_bytes(content)
        with pytest.raises(BrokenCheckpointError, match="not a whole checkpoint: torch.save did not write it"):
            read_checkpoint(tmp_path / "a.pth")

    def test_cut_short(self, tmp_path):
        torch.save({"x": torch.ones(1000)}, tmp_path / "a.pth")
        data = (tmp_path / "a.pth").read_bytes()
        (tmp_path / "a.pth").write_bytes(data[:-100])
        with pytest.raises(BrokenCheckpointError, match="not a whole checkpoint"):
            read_checkpoint(tmp_path / "a.pth")

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"nothing\.pth"):
            read_checkpoint(tmp_path / "nothing.pth")

    def test_a_missing_device_is_not_the_file_s_fault(self, tmp_path):
        if torch.cuda.is_available():
            pytest.skip("there is a device")
        torch.save(torch.ones(1), tmp_path / "a.pth")
        with pytest.raises(RuntimeError, match="CUDA"):
            read_checkpoint(tmp_path / "a.pth", map_location="cuda")
