"""scripts/plain_names.py: which names say nothing, and which functions need a docstring."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from plain_names import functions_without_docstring, main


def function_of(num_lines: int, *, name: str = "work", docstring: str = "") -> str:
    """The source of a function with this number of lines, from its ``def`` line to its last one."""
    body = [f'    """{docstring}"""'] if docstring else []
    body += ["    print()"] * (num_lines - 1 - len(body))
    return "\n".join([f"def {name}():", *body, ""])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (function_of(7), []),
        (function_of(8), [(1, "work")]),
        (function_of(40), [(1, "work")]),
        (function_of(8, docstring="Works."), []),
        (function_of(30, name="__init__"), []),
        ("@cached\n" + function_of(7), []),
        ("async " + function_of(8), [(1, "work")]),
    ],
    ids=["seven lines", "eight lines", "forty lines", "docstring", "__init__", "decorator", "coroutine"],
)
def test_a_function_of_eight_lines_needs_a_docstring(source: str, expected: list[tuple[int, str]]) -> None:
    assert list(functions_without_docstring(ast.parse(source))) == expected


def test_methods_and_nested_functions_need_a_docstring_too() -> None:
    inner = "".join(f"    {line}\n" for line in function_of(8, name="inner").splitlines())
    outer = f'def outer():\n    """Has an inner function."""\n{inner}    return inner\n'
    method = "class Owner:\n" + inner.replace("inner", "method")
    assert [name for _, name in functions_without_docstring(ast.parse(outer + method))] == ["inner", "method"]


def test_the_script_fails_and_names_file_line_and_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()
    Path("src/good.py").write_text(function_of(8, docstring="Works."), encoding="utf-8")
    assert main(["src"]) == 0
    Path("src/bad.py").write_text("found = 1\n" + function_of(9), encoding="utf-8")
    assert main(["src"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("src/bad.py:1: the name 'found'")
    assert lines[1].startswith("src/bad.py:2: work() has 8 lines or more")
