from __future__ import annotations

import re
from pathlib import Path

import pytest
from going_on_parts import run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

CLOCK = re.compile("time|samples_per_s|data_share")  # scalars that depend on it


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    names = [name for name in found.Tags()["scalars"] if not CLOCK.search(name)]
    return {name: [(point.step, point.value) for point in found.Scalars(name)] for name in names}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("whole"), "20260101_000000")


def test_without_a_local_backend_lines_are_kept_all_the_same(tmp_path, whole) -> None:
    only = [{"type": "TensorboardVisBackend"}]
    run(tmp_path, "20260101_000001", stop_at=6, backends=only)
    folder = run(tmp_path, "20260101_000002", backends=only, resume=True)
    assert events(folder) == events(whole)
