"""Trackers that fail, hang or are slow, beside local files that stay complete."""

from __future__ import annotations

import json
import logging
import threading
import time

import pytest

from eng.visualization import BaseVisBackend, Visualizer
from eng.visualization.background import BackgroundWriter, Patience

QUICK = Patience(max_waiting=50, max_attempts=3, first_pause=0.01, longest_pause=0.02, seconds_at_close=0.3)


class Tracker(BaseVisBackend):
    """Notes what it is told, and fails or hangs as long as it is told to."""

    in_background = True

    def __init__(self, save_dir: str = "", failures: int = 0, hang: threading.Event | None = None) -> None:
        super().__init__(save_dir)
        self.failures, self.hang = failures, hang
        self.seen: list[tuple[dict, int]] = []
        self.threads: set[str] = set()
        self.is_closed = False

    @property
    def experiment(self):
        return self

    def _init_env(self) -> None:
        pass

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs) -> None:
        self.threads.add(threading.current_thread().name)
        if self.hang is not None:
            self.hang.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("500")
        self.seen.append((dict(scalar_dict), step))

    def close(self) -> None:
        self.is_closed = True


def write(writer: BackgroundWriter, count: int) -> None:
    for step in range(count):
        writer("add_scalars", {"loss": 1 / (step + 1)}, step)


def test_calls_arrive_in_order_from_another_thread() -> None:
    tracker = Tracker()
    writer = BackgroundWriter("t", tracker, QUICK)
    write(writer, 40)
    writer.close()
    assert [step for _, step in tracker.seen] == list(range(40))
    assert tracker.threads == {"eng-tracker-t"}
    assert tracker.is_closed


def test_a_failure_is_reported_once_and_the_call_tried_again(caplog) -> None:
    tracker = Tracker(failures=2)
    writer = BackgroundWriter("t", tracker, QUICK)
    with caplog.at_level(logging.WARNING, "eng.visualization"):
        write(writer, 5)
        assert writer.wait()
        time.sleep(0.1)
        writer.close()
    assert [step for _, step in tracker.seen] == [0, 1, 2, 3, 4]
    assert caplog.text.count("failed in add_scalars") == 1


def test_a_tracker_that_keeps_failing_is_dropped_with_what_to_do(caplog) -> None:
    tracker = Tracker(failures=10**6)
    writer = BackgroundWriter("t", tracker, QUICK)
    with caplog.at_level(logging.WARNING, "eng.visualization"):
        write(writer, 20)
        deadline = time.monotonic() + 5
        while not writer.is_dropped and time.monotonic() < deadline:
            time.sleep(0.01)
        write(writer, 20)
        writer.close()
    assert writer.is_dropped
    assert tracker.seen == []
    assert caplog.text.count("is dropped for the rest of this run") == 1
    assert "eng sync" in caplog.text


def test_a_tracker_that_hangs_neither_slows_nor_keeps_the_run(caplog) -> None:
    release = threading.Event()
    writer = BackgroundWriter("t", Tracker(hang=release), QUICK)
    start = time.monotonic()
    with caplog.at_level(logging.WARNING, "eng.visualization"):
        write(writer, 200)
        assert writer.is_dropped
        writer.close()
    assert time.monotonic() - start < 5
    assert "50 calls wait for it" in caplog.text
    release.set()


def test_a_tracker_that_hangs_at_the_end_is_left(caplog) -> None:
    release = threading.Event()
    writer = BackgroundWriter("t", Tracker(hang=release), QUICK)
    with caplog.at_level(logging.WARNING, "eng.visualization"):
        write(writer, 3)
        writer.close()
    assert "still busy" in caplog.text
    release.set()


def test_a_writer_that_wrote_nothing_starts_no_thread() -> None:
    before = threading.active_count()
    BackgroundWriter("t", Tracker(), QUICK).close()
    assert threading.active_count() == before


@pytest.mark.parametrize("failures", [0, 10**6], ids=["working", "failing"])
def test_the_local_lines_are_complete_whatever_a_tracker_does(tmp_path, failures) -> None:
    tracker = Tracker(failures=failures)
    visualizer = Visualizer("v", vis_backends=[tracker, {"type": "LocalVisBackend"}], save_dir=str(tmp_path))
    for step in range(1, 31):
        visualizer.add_scalars({"loss": 1 / step}, step)
    visualizer.close()
    lines = [json.loads(line) for line in (tmp_path / "vis_data/scalars.json").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 31))
    assert len(tracker.seen) == (0 if failures else 30)
