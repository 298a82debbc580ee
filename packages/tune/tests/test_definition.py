from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_parts import LR

from eng.tune import (
    SweepError,
    sweep,
)  # fmt: skip


def test_another_sweep_in_the_folder_is_refused(config: Any, inline: Any, tmp_path: Path) -> None:
    arguments = {"metric": "distance", "mode": "min", "folder": tmp_path / "s", "executor": inline}
    sweep(config(epochs=1), {LR: [0.1]}, **arguments)
    with pytest.raises(SweepError, match=r"holds another sweep(.|\n)*space: .*0.1.*0.2"):
        sweep(config(epochs=1), {LR: [0.1, 0.2]}, **arguments)
    with pytest.raises(SweepError, match=r"config: .* is not as it was when the sweep began"):
        sweep(config(epochs=3), {LR: [0.1]}, **arguments)
