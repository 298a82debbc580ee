from __future__ import annotations

import pytest

import eng.fileio as fileio


def test_toml_is_read_and_not_written(tmp_path):
    (tmp_path / "a.toml").write_text("[model]\ndepth = 50\n")
    assert fileio.load(tmp_path / "a.toml") == {"model": {"depth": 50}}
    with pytest.raises(fileio.UnsupportedOperationError, match="read only"):
        fileio.dump({}, tmp_path / "b.toml")
    assert not (tmp_path / "b.toml").exists()
