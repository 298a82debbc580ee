from __future__ import annotations

import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from eng.checkpoint import read_checkpoint
from eng.logging import HistoryBuffer, MessageHub

# Written by a real training with MMEngine 0.10.7: AdamW, LinearLR, EMAHook, two epochs of four iterations.
MMENGINE = Path(__file__).parent / "data" / "mmengine_0_10_7_epoch_2.pth"


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
