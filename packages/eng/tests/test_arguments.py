from __future__ import annotations

import pytest

from eng.cli._arguments import spread_lists, take_flag


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a.py", "a.py"),
        ("--cfg-options a=1", "--cfg-options a=1"),
        ("--cfg-options a=1 b=2", "--cfg-options a=1 --cfg-options b=2"),
        ("--cfg-options=a=1 b=2 c.py", "--cfg-options=a=1 --cfg-options b=2 c.py"),
        ("--cfg-options a=1 --resume b=2", "--cfg-options a=1 --resume b=2"),
        ("--cfg-options a=-1 --cfg-options b=2 c=3", "--cfg-options a=-1 --cfg-options b=2 --cfg-options c=3"),
        ("--cfg-options a.py", "--cfg-options a.py"),
        ("-- --cfg-options a=1 b=2", "-- --cfg-options a=1 b=2"),
        ("x=1 y=2", "x=1 y=2"),
    ],
)  # fmt: skip
def test_spread(words: str, expected: str) -> None:
    assert spread_lists(words.split()) == expected.split()


def test_flag_behind_dashes_is_somebody_elses() -> None:
    assert take_flag(["run", "--", "--traceback"], "--traceback") == (["run", "--", "--traceback"], False)
    assert take_flag(["--traceback", "run"], "--traceback") == (["run"], True)
