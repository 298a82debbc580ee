"""How the tests of the commands run them."""

from __future__ import annotations

from types import SimpleNamespace

from click.testing import CliRunner
from models import TestNet

from eng.analysis._commands import flops

SERVICES = SimpleNamespace(load_config=lambda path, options: {"model": options}, build_model=lambda cfg: TestNet())


def run(*args: str, services=SERVICES):
    return CliRunner().invoke(flops, ["config.py", *args], obj=services, catch_exceptions=False)
