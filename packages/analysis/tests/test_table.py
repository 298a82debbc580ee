from __future__ import annotations

from commands_parts import run


def test_prints_the_table_and_says_that_all_was_counted() -> None:
    done = run("--shape", "10")
    assert done.exit_code == 0
    assert "|  inner " in done.output
    assert "Every operator was counted." in done.output
