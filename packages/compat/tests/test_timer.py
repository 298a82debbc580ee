from __future__ import annotations

import time

import pytest

from eng.compat.utils import timer


def test_timer(capsys) -> None:
    stopped = timer.Timer(start=False)
    assert not stopped.is_running
    with pytest.raises(timer.TimerError, match="call start"):
        stopped.since_start()
    stopped.start()
    time.sleep(0.01)
    assert stopped.since_last_check() >= 0.01
    assert stopped.since_last_check() < stopped.since_start()
    with timer.Timer(print_tmpl="{:.0f} s"):
        pass
    assert capsys.readouterr().out == "0 s\n"
    assert timer.check_time("one of these tests") == 0
    assert timer.check_time("one of these tests") > 0
