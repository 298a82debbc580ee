"""Commands called as the front door calls them, which lends them two services."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ckpt_folders_parts import tensors, write_shards

from eng.checkpoint import save_checkpoint
from eng.config import Config


class Services:
    def load_config(self, path, cfg_options=()):
        cfg = Config.fromfile(path)
        cfg.merge_from_dict(dict(word.split("=", 1) for word in cfg_options))
        return cfg


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]):
    """Runs a command; gives its exit status and what it printed."""

    def run(command, *words: object) -> tuple[int, str]:
        status = command.main(list(map(str, words)), standalone_mode=False, obj=Services())
        return (status if isinstance(status, int) else 0), capsys.readouterr().out

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of an averaged run on three ranks; the average stands under state_dict."""
    path = tmp_path / "epoch_2.pth"
    weights = tensors()
    moved = {f"module.{name}": value * 2 if value.is_floating_point() else value for name, value in weights.items()}
    stored = {f"state_dict/{name}": value for name, value in weights.items()}
    stored |= {f"ema_state_dict/{name}": value for name, value in moved.items()}
    write_shards(path, stored, {"state_dict/columns": 1, "ema_state_dict/module.columns": 1}, 3)
    common = {
        "meta": {"epoch": 2, "iter": 20, "time": "20260101_000000"},
        "state_dict": {name: f"sharded tensor: state_dict/{name}" for name in weights} | {"local": torch.ones(2)},
        "ema_state_dict": {name: f"sharded tensor: ema_state_dict/{name}" for name in moved},
    }
    save_checkpoint(common, path / "common.pth")
    return path
