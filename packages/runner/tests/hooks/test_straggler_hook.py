from __future__ import annotations

import sys
import threading

import pytest

from eng.hooks import StragglerHook
from eng.hooks.straggler_hook import LineSampler, RankTimes, Straggler, find_straggler, line_of


def times(*pairs, iteration=1.0):
    return [RankTimes("host", data, forward, iteration) for data, forward in pairs]


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        (times((0, 0.1), (0.5, 0.1), (0, 0.1)), Straggler(1, "data", 0.5, 0.0)),
        (times((0.1, 0.1), (0.1, 0.1), (0.1, 0.6)), Straggler(2, "data and forward", 0.7, 0.2)),
        # Sharded: the forward of the fast rank waits for the slow rank's data.
        (times((0.0, 0.5), (0.5, 0.0)), Straggler(1, "data", 0.5, 0.0)),
        (times((0.0, 0.5), (0.0, 0.5)), None),
        (times((0.0, 0.1), (0.1, 0.1), (0.15, 0.1)), None),
        (times((0.3, 0.1), (0.0, 0.1), iteration=10.0), None),
    ],
    ids=["data", "forward", "waiting-forward", "equal", "little", "little-of-long"],
)
def test_the_rank_that_loses_most_is_named(ranks, expected):
    straggler = find_straggler(ranks, 0.2)
    if expected is None:
        assert straggler is None
    else:
        assert (straggler.rank, straggler.part) == (expected.rank, expected.part)
        assert (straggler.own_s, straggler.others_s) == pytest.approx((expected.own_s, expected.others_s))


def test_the_line_is_the_users():
    assert line_of(sys._getframe()).endswith("in test_the_line_is_the_users")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(line_of(sys._getframe())))
    thread.start()
    thread.join()
    assert "test_straggler_hook.py" in seen[0]


def test_nothing_is_counted_outside_of_own_work():
    sampler = LineSampler(lambda: False)
    sampler.close()
    assert sampler.line() is None


def test_one_process_is_compared_with_no_other(make_runner, monkeypatch):
    compared = []
    monkeypatch.setattr("eng.hooks.straggler_hook.all_gather_object", compared.append)
    runner = make_runner(custom_hooks=[dict(type="StragglerHook", interval=1)])
    runner.train()
    assert runner.iter > 0
    assert compared == []


@pytest.mark.parametrize(
    ("options", "message"), [({"interval": 0}, "interval"), ({"share": 1}, "share must be between 0 and 1, got 1")]
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        StragglerHook(**options)
