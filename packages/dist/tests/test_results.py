"""The folder through which ranks collect results on the CPU."""

from __future__ import annotations

import stat
from pathlib import Path

from eng.dist._results import _new_folder


def test_the_folder_of_results_is_the_user_s_alone(tmp_path: Path) -> None:
    """Results are pickles, so that whoever could write there could run code."""
    folders = [Path(_new_folder(tmp_path / "shared")) for _ in range(2)]
    assert folders[0] != folders[1]
    for folder in folders:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
