from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the tests import their helpers by name


@pytest.fixture(autouse=True)
def same_process_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front door reads the environment and lengthens sys.path."""
    monkeypatch.delenv("ENG_COMPAT", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch):
    """Makes the front door find these commands only: name -> click command, or a dotted target that may not exist."""
    from eng.cli import _main

    class Given(EntryPoint):
        def load(self):
            return super().load() if isinstance(targets[self.name], str) else targets[self.name]

    targets: dict = {}

    def install(**given) -> None:
        targets.update({name.replace("__", "."): target for name, target in given.items()})
        entries = [
            Given(name, target if isinstance(target, str) else "a:b", "eng.commands")
            for name, target in targets.items()
        ]
        monkeypatch.setattr(_main, "entry_points", lambda group: entries)

    return install
