from __future__ import annotations

from types import SimpleNamespace

from click.testing import CliRunner
from models import TestNet

from eng.analysis._commands import flops

SERVICES = SimpleNamespace(load_config=lambda path, options: {"model": options}, build_model=lambda cfg: TestNet())


def run(*args: str, services=SERVICES):
    return CliRunner().invoke(flops, ["config.py", *args], obj=services, catch_exceptions=False)


def test_prints_the_table_and_says_that_all_was_counted() -> None:
    done = run("--shape", "10")
    assert done.exit_code == 0
    assert "|  inner " in done.output
    assert "Every operator was counted." in done.output
