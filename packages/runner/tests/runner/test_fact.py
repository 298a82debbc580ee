from __future__ import annotations

import pytest

from eng.runner.fact import fact, part
from eng.runner.lazy import Lazy


class Run:
    steps = (1, 2)
    count: int = fact(lambda run: len(run.steps), "Steps that are over.")
    loop = part("loop_part", "The loop, or its config.")

    def __init__(self) -> None:
        self.loop_part = Lazy({"n": 2}, lambda setting: list(range(setting["n"])))


def test_a_fact_is_read_anew_and_cannot_be_assigned() -> None:
    run = Run()
    assert run.count == 2
    run.steps = (1, 2, 3)
    assert run.count == 3
    assert Run.__dict__["count"].__doc__ == "Steps that are over."
    with pytest.raises(AttributeError):
        run.count = 1


def test_a_part_shows_its_setting_until_it_is_built() -> None:
    run = Run()
    assert run.loop == {"n": 2}
    run.loop_part.need()
    assert run.loop == [0, 1]
    run.loop = {"n": 1}
    assert run.loop_part.need() == [0]
