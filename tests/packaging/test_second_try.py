"""scripts/nox_tests.py: which failures of pytest end a session."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

command = pytest.importorskip("nox.command")

SCRIPTS = Path(__file__).parents[2] / "scripts"

UNSTEADY = """
from pathlib import Path
import pytest

@pytest.mark.parametrize("text", ["a b", "c"])
def test_fails_first(text):
    seen = Path(__file__).with_name(f"seen {text}")
    was_there = seen.exists()
    seen.touch()
    assert was_there

def test_passes():
    pass
"""
BROKEN = "def test_fails():\n    assert False\n"
MANY = "import pytest\n\n@pytest.mark.parametrize('n', range(4))\ndef test_fails(n):\n    assert False\n"


class Session:
    """What `run_pytest` uses of nox's session, with real processes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls, self.warnings = folder, 0, list[str]()

    def run(self, *call: str, env: dict[str, str] | None) -> None:
        self.calls += 1
        code = subprocess.run(
            [sys.executable, *call[1:], "--rootdir", str(self.folder)],
            cwd=self.folder, env={**os.environ, **(env or {})}, check=False, capture_output=True, timeout=120,
        ).returncode  # fmt: skip
        if code:
            raise command.CommandFailed(f"Returned code {code}")

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def nox_tests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    module = importlib.import_module("nox_tests")
    monkeypatch.setattr(module, "REPORTS", tmp_path / "reports")
    return module


def run(nox_tests: Any, folder: Path, text: str, *options: str) -> Session:
    (folder / "test_it.py").write_text(text)
    session = Session(folder)
    nox_tests.run_pytest(session, "label", "test_it.py", *options)
    return session


def test_what_passes_at_the_second_try_is_named(nox_tests: Any, tmp_path: Path) -> None:
    session = run(nox_tests, tmp_path, UNSTEADY)
    assert session.calls == 2
    assert "test_it.py::test_fails_first[a b]" in session.warnings[0]
    assert nox_tests.totals().splitlines() == [
        "3 passed, 0 failed, 0 skipped in 1 environments",
        "passed at the second try only: test_it.py::test_fails_first[a b]",
        "passed at the second try only: test_it.py::test_fails_first[c]",
    ]
    assert run(nox_tests, tmp_path, UNSTEADY).calls == 1
    assert nox_tests.totals() == "3 passed, 0 failed, 0 skipped in 1 environments"


@pytest.mark.parametrize(("text", "calls"), [(BROKEN, 2), (MANY, 1), ("import nowhere\n", 1), ("def", 1)])
def test_what_is_broken_ends_the_session(nox_tests: Any, tmp_path: Path, text: str, calls: int) -> None:
    (tmp_path / "test_it.py").write_text(text)
    session = Session(tmp_path)
    with pytest.raises(command.CommandFailed, match="Returned code"):
        nox_tests.run_pytest(session, "label", "test_it.py")
    assert session.calls == calls


@pytest.mark.parametrize("option", ["-x", "--maxfail=1"])
def test_a_run_that_stopped_at_the_first_failure_has_no_second_try(nox_tests: Any, tmp_path: Path, option: str) -> None:
    with pytest.raises(command.CommandFailed, match="Returned code 1"):
        run(nox_tests, tmp_path, UNSTEADY, option)


def test_a_run_that_a_test_ended_has_no_second_try(nox_tests: Any, tmp_path: Path) -> None:
    ending = "\ndef test_z():\n    pytest.exit('end', 3)\n"
    with pytest.raises(command.CommandFailed, match="Returned code 3"):
        run(nox_tests, tmp_path, UNSTEADY + ending)


def test_an_empty_collection_ends_the_session(nox_tests: Any, tmp_path: Path) -> None:
    session = Session(tmp_path)
    with pytest.raises(command.CommandFailed, match="Returned code 5"):
        nox_tests.run_pytest(session, "label", str(tmp_path))
    assert session.calls == 1
