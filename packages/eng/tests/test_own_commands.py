from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import eng.cli
from eng.cli import main


def test_public_names() -> None:
    assert eng.cli.__all__ == ["main", "Services", "__version__"]


@pytest.mark.parametrize(
    "name", [each.name for each in pkgutil.iter_modules(eng.cli.__path__) if each.name != "__main__"]
)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"eng.cli.{name}")).failed == 0


def test_config_check_without_the_runner_says_so(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eng.runner", None)
    monkeypatch.delitem(sys.modules, "eng.runner.schema", raising=False)
    file = tmp_path / "a.py"
    file.write_text("model = dict(type='Net')\n", "utf-8")
    assert main(["config", "check", str(file)]) != 0
    assert "checking a config needs eng-runner" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("absent.py", None, "absent.py"),
        ("broken.py", "model = dict(\n", "broken.py"),
        ("a.toml", "x = 1", "a.toml"),
        ("code.py", "x = 1\ny = 1 / 0\n", "code.py:2: ZeroDivisionError: division by zero"),
    ],
    ids=["missing", "syntax", "format", "code"],
)
def test_config_that_cannot_be_read_is_status_2(
    tmp_path: Path, capsys, name: str, text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, "utf-8")
    assert main(["config", "check", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def run(*words: str, **settings) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **settings)


def test_module_runs_like_the_command() -> None:
    done = run("-m", "eng.cli", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("eng, version")
    assert run("-m", "eng.cli", "nonsense").returncode == 2


def test_reader_that_goes_away_is_no_error() -> None:
    code = (
        "import sys, click, eng.cli._main as m\n"
        "from importlib.metadata import EntryPoint\n"
        "class E(EntryPoint):\n"
        "    def load(self): return click.Command('x', callback=lambda: [click.echo('y' * 1000) for _ in range(1000)] and None)\n"
        "m.entry_points = lambda group: [E('x', 'a:b', group)]\n"
        "sys.exit(m.main(['x']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
