from __future__ import annotations

from pathlib import Path

import pytest

from eng.config import Config


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "a.py").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a.py is a directory, expected a config file"):
        Config.fromfile("a.py")
