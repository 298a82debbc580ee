from __future__ import annotations

import os
import pickle
import subprocess
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from eng.checkpoint import BrokenCheckpointError, UntrustedCheckpointError, load_checkpoint, read_checkpoint
from eng.logging import HistoryBuffer, MessageHub

# Written by a real training with MMEngine 0.10.7: AdamW, LinearLR, EMAHook, two epochs of four iterations.
MMENGINE = Path(__file__).parent / "data" / "mmengine_0_10_7_epoch_2.pth"


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


class TestMMEngineFiles:
    def test_a_real_one_is_read_whole(self):
        checkpoint = read_checkpoint(MMENGINE)
        assert list(checkpoint) == [
            "meta",
            "state_dict",
            "message_hub",
            "optimizer",
            "param_schedulers",
            "ema_state_dict",
        ]
        assert checkpoint["meta"]["iter"] == 8
        losses = checkpoint["message_hub"]["log_scalars"]["train/loss"]
        assert isinstance(losses, HistoryBuffer)
        assert losses.data[0].shape == (8,)

    def test_its_message_hub_goes_on_here(self):
        hub = MessageHub("from-mmengine")
        hub.load_state_dict(read_checkpoint(MMENGINE)["message_hub"])
        hub.update_scalar("train/loss", 1.0)
        assert len(hub.get_scalar("train/loss").data[0]) == 9
        assert hub.get_info("iter") == 7
        assert hub.state_dict()["log_scalars"]["train/loss"]["length"] == 9

    @pytest.mark.parametrize(
        "value",
        [
            np.float64(1.5), np.int64(3), np.bool_(True), np.arange(6).reshape(2, 3), np.array(["a", "b"]),
            np.random.default_rng(0).normal(size=3), OrderedDict(a=1), {1, 2}, (1, "a"),
            slice(1, 2), torch.device("cpu"), torch.float16, Path("a/b"), HistoryBuffer([1.0, 2.0], [1, 1]),
        ],
        ids=lambda value: type(value).__name__,
    )  # fmt: skip
    def test_harmless_types_are_taken(self, value, tmp_path):
        torch.save({"x": value}, tmp_path / "a.pth")
        loaded = read_checkpoint(tmp_path / "a.pth")["x"]
        if isinstance(value, HistoryBuffer):
            assert loaded.mean() == 1.5
        elif isinstance(value, Path):
            assert str(loaded) == str(value)
        else:
            assert np.all(loaded == value)
            assert type(loaded) is type(value)

    def test_default_dicts_become_plain_ones(self, tmp_path):
        torch.save({"x": defaultdict(dict, a={1: 2}), "y": defaultdict(list)}, tmp_path / "a.pth")
        assert read_checkpoint(tmp_path / "a.pth") == {"x": {"a": {1: 2}}, "y": {}}

    @pytest.mark.parametrize("path", ["mmengine.config.config.ConfigDict", "mmcv.utils.config.ConfigDict"])
    def test_config_dicts_of_old_files_become_dicts(self, path, tmp_path, monkeypatch):
        import sys
        import types

        module, _, name = path.rpartition(".")
        kind = type(name, (dict,), {"__module__": module})
        names = module.split(".")
        for depth in range(1, len(names) + 1):
            monkeypatch.setitem(sys.modules, ".".join(names[:depth]), types.ModuleType(".".join(names[:depth])))
        setattr(sys.modules[module], name, kind)
        torch.save({"meta": kind(a=kind(b=1))}, tmp_path / "a.pth")
        assert read_checkpoint(tmp_path / "a.pth")["meta"] == {"a": {"b": 1}}

    def test_the_list_does_not_leak_into_torch(self, tmp_path):
        torch.save({"x": HistoryBuffer()}, tmp_path / "a.pth")
        read_checkpoint(tmp_path / "a.pth")
        with pytest.raises(pickle.UnpicklingError, match="HistoryBuffer"):
            torch.load(tmp_path / "a.pth")


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
