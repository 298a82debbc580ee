from __future__ import annotations

import json
import logging
import re
import sys
from pathlib import Path

import pytest
from going_on_parts import TRACKERS, run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eng.visualization import Visualizer

CLOCK = re.compile("time|samples_per_s|data_share")  # scalars that depend on it


def local(folder: Path, name: str = "scalars.json") -> list[dict]:
    lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{key: value for key, value in line.items() if not CLOCK.search(key)} for line in lines]


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    names = [name for name in found.Tags()["scalars"] if not CLOCK.search(name)]
    return {name: [(point.step, point.value) for point in found.Scalars(name)] for name in names}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("whole"), "20260101_000000")


@pytest.mark.parametrize(
    ("every", "stop_at"), [(4, 6), (4, 4), (3, 10), (5, 11)],
    ids=["within an epoch", "after a validation", "over several epochs", "at the last iteration"],
)  # fmt: skip
def test_a_run_that_is_stopped_and_goes_on_has_the_curves_of_one_that_is_not(tmp_path, whole, every, stop_at) -> None:
    run(tmp_path, "20260101_000001", stop_at=stop_at, every=every)
    folder = run(tmp_path, "20260101_000002", resume=True, every=every)
    assert local(folder) == local(whole)
    assert local(folder, "20260101_000002.json") == local(whole, "20260101_000000.json")
    assert events(folder) == events(whole)


def test_a_tracker_that_is_not_installed_is_dropped_at_once_with_what_to_install(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    visualizer = Visualizer("missing", vis_backends=TRACKERS, save_dir=str(tmp_path))
    with caplog.at_level(logging.WARNING, "eng.visualization"):
        visualizer.add_scalars({"loss": 1.0}, 1)
        visualizer.close()
    assert caplog.text.count("pip install 'tensorboard'") == 1
    assert (tmp_path / "vis_data/scalars.json").read_text() == '{"loss": 1.0, "step": 1}\n'
