"""`.pre-commit-config.yaml` runs the tools of `nox -s lint`, with its versions and options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NOXFILE = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
HOOKS: list[dict[str, Any]] = [
    hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    for hook in repository["hooks"]
]
# They read packages and pyproject files together, with the sources on the path, and take longer than a commit should.
ONLY_IN_LINT = {"lint-imports", "deptry"}


def texts_of(function: str) -> list[str]:
    """The strings in a function of the noxfile, those of the module's constants that it names included."""
    values = {
        ast.unparse(node.targets[0]): node.value
        for node in NOXFILE.body
        if isinstance(node, ast.Assign) and len(node.targets) == 1
    }
    (body,) = (node for node in NOXFILE.body if isinstance(node, ast.FunctionDef) and node.name == function)
    waiting, texts = [body], []  # type: list[ast.AST], list[str]
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.Name) and node.id in values:
                waiting.append(values[node.id])
    return texts


LINT = [*texts_of("lint"), *texts_of("check_house")]


def programs(function: str) -> Iterator[str]:
    """What a session runs: a tool, or a script of ours."""
    (body,) = (node for node in NOXFILE.body if isinstance(node, ast.FunctionDef) and node.name == function)
    for node in ast.walk(body):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "session.run":
            names = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
            yield names[1] if names[0] == "python" else names[0]


def program_of(hook: dict[str, Any]) -> str:
    words: list[str] = hook["entry"].split()
    return words[1] if words[0] == "python" else words[0]


def test_the_hooks_run_the_tools_of_lint() -> None:
    tools = {*programs("lint"), *programs("check_house")}
    assert {"ruff", "scripts/plain_names.py", "zizmor"} <= tools
    assert {program_of(hook) for hook in HOOKS} == tools - ONLY_IN_LINT


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_has_the_versions_and_options_of_lint(hook: dict[str, Any]) -> None:
    assert hook["language"] == "python"  # pre-commit makes its environment; "system" needs the tools on PATH
    assert set(hook.get("additional_dependencies", [])) <= set(LINT)
    options = [*hook["entry"].split()[1:], *hook.get("args", [])]
    # `--force-exclude` keeps ruff from files that it is handed and the settings exclude.
    known = {*LINT, "--force-exclude", *(f"--select={text}" for text in LINT)}
    assert [option for option in options if option not in known] == []


def test_the_hooks_check_the_files_that_have_a_schema() -> None:
    (schemas,) = (
        ast.literal_eval(node.value)
        for node in NOXFILE.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HOUSE_FILES"
    )
    patterns = {hook["entry"].split()[2]: hook["files"] for hook in HOOKS if program_of(hook) == "check-jsonschema"}
    assert patterns.keys() == schemas.keys()
    folders = (ROOT.glob("*"), (ROOT / ".github").rglob("*"), (ROOT / "docs").rglob("*"))
    paths = [path for folder in folders for path in folder if path.is_file()]
    for schema, globs in schemas.items():
        files = {path for pattern in globs for path in ROOT.glob(pattern)}
        assert files
        assert {path for path in paths if re.search(patterns[schema], path.relative_to(ROOT).as_posix())} == files
