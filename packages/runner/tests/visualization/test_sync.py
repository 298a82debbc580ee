from __future__ import annotations

from curve_files import run_command, start

from eng.visualization._commands import sync


def test_sync_twice_leaves_each_point_once_in_event_files(tmp_path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = start(tmp_path, "20260101_000000", 8).parent
    for _ in range(2):
        said = run_command(sync, tmp_path, "--to", "tensorboard").output
        assert "wrote 10 lines up to iteration 8" in said
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [point.step for point in events.Scalars("loss")] == list(range(1, 9))
    assert [point.step for point in events.Scalars("accuracy")] == [1, 2]
