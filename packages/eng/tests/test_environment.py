from __future__ import annotations

import json
import os
import subprocess
import sys

import eng.cli
from eng.cli import main


def test_env_reports_versions(capsys) -> None:
    assert main(["env", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["python"].startswith(sys.version.split()[0])
    assert found["eng"] == eng.cli.__version__
    assert {"eng-config", "eng-registry", "devices", "cpu"} <= set(found)
    assert main(["env"]) == 0
    assert f"eng-registry{' ' * 1}" in " ".join(capsys.readouterr().out.split())


def run(*words: str, **settings) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **settings)


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
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
