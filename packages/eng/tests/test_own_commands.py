from __future__ import annotations

import doctest
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import eng.cli
from eng.cli import main
from eng.registry import MODELS


def test_public_names() -> None:
    assert eng.cli.__all__ == ["main", "Services", "__version__"]


@pytest.mark.parametrize(
    "name", [each.name for each in pkgutil.iter_modules(eng.cli.__path__) if each.name != "__main__"]
)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"eng.cli.{name}")).failed == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str, capsys) -> None:
    assert main(["completion", shell]) == 0
    assert "_ENG_COMPLETE" in capsys.readouterr().out


def test_completion_of_another_shell(capsys) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "is not one of" in capsys.readouterr().err


def test_env_reports_versions(capsys) -> None:
    assert main(["env", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["python"].startswith(sys.version.split()[0])
    assert found["eng"] == eng.cli.__version__
    assert {"eng-config", "eng-registry", "devices", "cpu"} <= set(found)
    assert main(["env"]) == 0
    assert f"eng-registry{' ' * 1}" in " ".join(capsys.readouterr().out.split())


@pytest.fixture
def net() -> Iterator[None]:
    pytest.importorskip("eng.runner")

    class Net:
        def __init__(self, depth: int) -> None:
            raise AssertionError("built")

    with MODELS.isolated(empty=True):
        MODELS.register_module(module=Net)
        yield


def test_config_check_prints_file_and_line_and_exits_1(tmp_path: Path, capsys, net: None) -> None:
    file = tmp_path / "a.py"
    file.write_text("model = dict(\n    type='Net',\n    depht=3)\n\noptim_wraper = dict()\n", "utf-8")
    assert main(["config", "check", str(file)]) == 1
    written = capsys.readouterr()
    assert f"{file}:3 model.depht: Net takes no argument 'depht'; did you mean 'depth'?" in written.out
    assert f"{file}:5 optim_wraper: no key 'optim_wraper' is known here; did you mean 'optim_wrapper'?" in written.out
    assert "3 findings" in written.err


def test_config_check_without_the_runner_says_so(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eng.runner", None)
    monkeypatch.delitem(sys.modules, "eng.runner.schema", raising=False)
    file = tmp_path / "a.py"
    file.write_text("model = dict(type='Net')\n", "utf-8")
    assert main(["config", "check", str(file)]) != 0
    assert "checking a config needs eng-runner" in capsys.readouterr().err


def test_config_check_as_json(tmp_path: Path, capsys, net: None) -> None:
    file = tmp_path / "a.py"
    file.write_text("model = dict(type='Net', depth=3)\n", "utf-8")
    assert main(["config", "check", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["config", "check", str(file), "--json", "--cfg-options", "model.dept=1", "modle=1"]) == 1
    assert [each["kind"] for each in json.loads(capsys.readouterr().out)] == ["unknown-argument", "unknown-key"]


def test_config_check_without_executing(tmp_path: Path, capsys, net: None) -> None:
    file = tmp_path / "a.py"
    file.write_text("model = dict(type='Net', depht=3)\n", "utf-8")
    assert main(["config", "check", str(file), "--no-trust"]) == 1
    file.write_text("import os\nmodel = dict(type='Net', depth=3)\n", "utf-8")
    assert main(["config", "check", str(file)]) == 0
    assert main(["config", "check", str(file), "--no-trust"]) == 2
    assert "a.py:1: the import of os is not allowed" in capsys.readouterr().err


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


def test_help_and_completion_import_nothing_heavy() -> None:
    heavy = "print(*sorted({'torch', 'numpy', 'rich'} & set(sys.modules)), sep=',', file=sys.stderr)"
    assert run("-c", f"import sys, eng.cli; eng.cli.main(['--help']); {heavy}").stderr.strip() == ""
    words = {"_ENG_COMPLETE": "bash_complete", "COMP_WORDS": "eng ", "COMP_CWORD": "1"}
    code = f"import sys, atexit, eng.cli; atexit.register(lambda: {heavy}); eng.cli.main([])"
    done = run("-c", code, env={**os.environ, **words})
    assert "plain,config" in done.stdout.split()
    assert done.stderr.strip() == ""


def test_help_fits_a_screen() -> None:
    lines = run("-m", "eng.cli", "--help", env={**os.environ, "COLUMNS": "80"}).stdout.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 80


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
