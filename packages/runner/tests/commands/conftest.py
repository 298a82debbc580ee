"""Commands called as the front door calls them, which lends them two services."""

from __future__ import annotations

from pathlib import Path

import pytest

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
