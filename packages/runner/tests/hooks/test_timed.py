from __future__ import annotations

from eng.hooks import IterTimerHook
from eng.logging import MessageHub


def test_a_loop_that_begins_no_epochs_is_timed_all_the_same() -> None:
    class At:
        iter, max_iters, message_hub = 0, 4, MessageHub("no epochs")

    hook = IterTimerHook()
    hook.before_train_iter(At(), 0)
    hook.after_train_iter(At(), 0, outputs={})
    assert len(At.message_hub.get_scalar("train/time").data[0]) == 1
