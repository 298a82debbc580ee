from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from config_parts import Write

from eng.config._commands import config

click_testing = pytest.importorskip("click.testing")


@pytest.fixture(autouse=True)
def files(write: Write) -> None:
    write(
        b_py="m = dict(depth=50)",
        a_py="_base_ = 'b.py'\nm = dict(depth=101)\nx = [1, 2]",
        bad_py="import os\nx = os.sep",
    )


def run(*words: str) -> tuple[int, str]:
    result = click_testing.CliRunner().invoke(config, list(words))
    return result.exit_code, result.output or str(result.exception or "")


def test_diff_exits_with_1_where_something_differs() -> None:
    assert run("diff", "a.py", "a.py") == (0, "")
    status, output = run("diff", "a.py", "a.py", "--cfg-options", "m.depth=1")
    assert status == 1
    assert "-m = dict(depth=1)\n+m = dict(depth=101)" in output


def test_the_order_of_keys_is_no_difference(write: Callable[..., Path]) -> None:
    write(
        one_py="a = dict(x=1, y=[dict(p=1, q=2)])\nb = 2\n",
        two_py="b = 2\na = dict(y=[dict(q=2, p=1)], x=1)\n",
        three_py="b = 2\na = dict(y=[dict(q=3, p=1)], x=1)\nc = 0\n",
    )
    assert run("diff", "one.py", "two.py") == (0, "")
    status, output = run("diff", "one.py", "three.py")
    assert status == 1
    changed = [line for line in output.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == ["-a = dict(x=1, y=[dict(p=1, q=2)])", "+a = dict(x=1, y=[dict(p=1, q=3)])", "+c = 0"]
