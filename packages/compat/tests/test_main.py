from __future__ import annotations

import subprocess
import sys

import pytest
from alias_parts import run


def test_a_module_runs_under_the_alias(tmp_path) -> None:
    (tmp_path / "tool.py").write_text("import sys, mmengine.version\nprint(sys.argv[1:], __name__)")
    done = run("-m", "eng.compat", "-m", "tool", "--flag", cwd=tmp_path)
    assert done.stdout.strip() == "['--flag'] __main__", done.stderr


@pytest.mark.parametrize("args", [[], ["-m"], ["missing.py"]], ids=["nothing", "no module", "no file"])
def test_a_call_that_names_nothing_says_how_to(tmp_path, args) -> None:
    done = run("-m", "eng.compat", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert "usage: python -m eng.compat SCRIPT.py" in done.stderr


def test_an_error_of_a_script_begins_with_its_own_line(tmp_path) -> None:
    (tmp_path / "tool.py").write_text("def fail():\n    raise ValueError('no such key')\n\nfail()\n")
    alone = run("tool.py", cwd=tmp_path)
    for arguments in (["tool.py"], ["-m", "tool"]):
        done = run("-m", "eng.compat", *arguments, cwd=tmp_path)
        assert done.returncode == 1
        lines = done.stderr.replace(f"{tmp_path}/", "").splitlines()
        assert lines == alone.stderr.replace(f"{tmp_path}/", "").splitlines()


def test_options_of_python_and_its_standard_input(tmp_path) -> None:
    code = "import mmengine, sys; print(mmengine.__name__, sys.argv)"
    assert run("-m", "eng.compat", "-c", code, "a").stdout.strip() == "eng.compat.toplevel ['-c', 'a']"
    (tmp_path / "tool.py").write_text(code)
    assert (
        run("-m", "eng.compat", "-u", "tool.py", "a", cwd=tmp_path).stdout.strip()
        == "eng.compat.toplevel ['tool.py', 'a']"
    )
    call = [sys.executable, "-m", "eng.compat", "-", "a"]
    done = subprocess.run(call, input=code, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "eng.compat.toplevel ['-', 'a']", done.stderr
