from __future__ import annotations

from pathlib import Path

import pytest

from eng.tune import (
    SweepError,
    load_sweep,
)  # fmt: skip
from eng.tune._report import explained_share


def test_importance_is_the_correlation_ratio() -> None:
    # Two groups with means 1 and 3 around 2; within them 0.5 away: 4 * 1 / (4 * 1 + 4 * 0.25)
    assert explained_share(["a", "a", "b", "b"], [0.5, 1.5, 2.5, 3.5]) == pytest.approx(4 / 5)
    assert explained_share([1, 2, 1, 2], [0.0, 0.0, 1.0, 1.0]) == 0
    assert explained_share([1, 1], [0.0, 1.0]) == 0
    assert explained_share([0.1], [1.0]) == 0
    numbers = [float(number) for number in range(16)]
    assert explained_share(numbers, [number // 4 for number in range(16)]) == 1


def test_folder_without_a_sweep_is_named(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="holds no sweep"):
        load_sweep(tmp_path)
