from __future__ import annotations

from typing import Any

import pytest

from eng.hooks import EarlyStoppingHook


class Patience(EarlyStoppingHook):
    """Stops at the first score below a half, as a subclass written for MMEngine does."""

    def _check_stop_condition(self, current_score: float) -> tuple[bool, str]:
        stop, reason = super()._check_stop_condition(current_score)
        return (True, "below a half") if current_score < 0.5 else (stop, reason)


@pytest.mark.parametrize(("scores", "stops"), [([0.9, 0.4], True), ([0.9, 0.91], False)])
def test_an_early_stopping_subclass_decides(scores, stops) -> None:
    class Run:
        train_loop: Any = type("Loop", (), {"stop_training": False})
        logger: Any = type("Logger", (), {"info": lambda *args: None})

    hook = Patience("acc", min_delta=0.001, patience=3)
    for score in scores:
        hook.after_val_epoch(Run, {"acc": score})  # type: ignore[arg-type]
    assert Run.train_loop.stop_training is stops
    assert hook.rule_map["greater"](2, 1) and not hook.rule_map["less"](2, 1)
