"""Processes under torchrun's elastic agent, and what the agent leaves behind in the process that started it."""

from __future__ import annotations

import signal

import pytest

from eng.runner.launch import relaunch_with_agent

ANSWERED = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]


@pytest.mark.timeout(60)
def test_signals_are_answered_as_before_when_the_agent_is_done() -> None:
    def mine(*_: object) -> None: ...

    original = signal.signal(signal.SIGTERM, mine)
    try:
        before = {number: signal.getsignal(number) for number in ANSWERED}
        # Whether the program is there or not: the process that the agent starts fails, and the agent had its handlers.
        assert relaunch_with_agent(1, ["no-such-command"]) > 0
        assert {number: signal.getsignal(number) for number in ANSWERED} == before
    finally:
        signal.signal(signal.SIGTERM, original)
