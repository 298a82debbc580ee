from __future__ import annotations

import logging
import sys

import pytest
from going_on_parts import TRACKERS, run
from visualization_parts import events, local

from eng.visualization import Visualizer


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
