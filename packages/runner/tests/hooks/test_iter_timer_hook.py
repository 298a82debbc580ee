from __future__ import annotations

import time

import pytest

from eng.hooks import IterTimerHook


class OfALibrary(IterTimerHook):
    """Overrides `_after_iter` in the way of libraries: by wall-clock time and the attribute `t`."""

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode="train"):
        runner.message_hub.update_scalar(f"{mode}/time", time.time() - self.t)
        self.t = time.time()


def test_subclasses_of_the_timer_read_and_set_t(make_runner) -> None:
    runner = make_runner(default_hooks=dict(timer=OfALibrary()))
    runner.train()
    times, _ = runner.message_hub.get_scalar("train/time").data
    assert len(times) == 8
    assert (times >= 0).all()
    assert times.max() < 30


def test_t_is_wall_clock_time_and_feeds_the_timer() -> None:
    hook = IterTimerHook()
    hook.t = time.time() - 5
    assert time.time() - hook.t == pytest.approx(5, abs=0.5)
    assert time.perf_counter() - hook._last == pytest.approx(5, abs=0.5)
