"""The sources name the encoding of each text that they read and write: without it, Python takes that of the locale.

`tests/integration/test_locales.py` trains in such locales; here is every call, also those that a run does not reach.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = [*ROOT.glob("packages/*/src/**/*.py"), *ROOT.glob("scripts/*.py"), ROOT / "noxfile.py"]
PROCESSES = {"run", "Popen", "check_output"}
# Their output is our own Python's, or that of tools of the house, on a developer's machine.
SCRIPTS_TALK_TO_TOOLS = {ROOT / "scripts", ROOT}


def calls_without_encoding(source: str, processes: bool = True) -> Iterator[str]:
    """Calls that open a file as text, or talk with a process in text, and name no encoding."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        keywords = {keyword.arg for keyword in node.keywords}
        if keywords & {"encoding", None}:
            continue
        if name in PROCESSES and owner == "subprocess":
            is_text = processes and bool(keywords & {"text", "universal_newlines"})
        elif name in ("read_text", "write_text"):
            is_text = len(node.args) == (name == "write_text")
        elif name == "fdopen" or (name == "open" and owner in ("", "io")):
            is_text = "b" not in mode(node, position=1)
        elif name == "open":  # of a path, or of something else that opens as Path.open does
            is_text = bool(mode(node, position=0)) and "b" not in mode(node, position=0)
        else:
            is_text = name == "TextIOWrapper"
        if is_text:
            yield f"{node.lineno}: {ast.unparse(node)}"


def mode(call: ast.Call, position: int) -> str:
    """The mode in which a call opens a file; "" where it is left out or no literal."""
    values = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] or call.args[position : position + 1]
    is_literal = bool(values) and isinstance(values[0], ast.Constant) and isinstance(values[0].value, str)
    return ast.literal_eval(values[0]) if is_literal else ""


@pytest.mark.parametrize(
    "call",
    [
        "open(path)", "open(path, 'w')", "open(path, mode='a')", "io.open(path)", "os.fdopen(handle, 'w')", "path.read_text()",
        "path.write_text(text)", "path.open('w')", "io.TextIOWrapper(file)", "subprocess.run(command, text=True)",
    ],
)  # fmt: skip
def test_a_call_in_the_encoding_of_the_locale_is_seen(call: str) -> None:
    assert list(calls_without_encoding(f"\n{call}")) == [f"2: {call}"]


@pytest.mark.parametrize(
    "call",
    [
        "open(path, 'rb')", "open(path, encoding='utf-8')", "os.fdopen(handle, 'wb')", "path.read_text('utf-8')", "path.open('ab')",
        "path.write_text(text, encoding='ascii')", "Image.open(path)", "subprocess.run(command)", "open(path, **options)",
        "subprocess.run(command, encoding='utf-8')", "path.read_bytes()", "os.open(path, os.O_RDONLY)",
    ],
)  # fmt: skip
def test_a_call_that_names_it_or_reads_bytes_passes(call: str) -> None:
    assert list(calls_without_encoding(call)) == []


def test_no_encoding_is_left_to_the_locale() -> None:
    assert len(PROGRAMS) > 500
    complaints = [
        f"{path.relative_to(ROOT)}:{complaint}"
        for path in PROGRAMS
        for complaint in calls_without_encoding(
            path.read_text(encoding="utf-8"), processes=path.parent not in SCRIPTS_TALK_TO_TOOLS
        )
    ]
    assert complaints == []
