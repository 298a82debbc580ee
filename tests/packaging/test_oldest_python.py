"""What the sources take from the standard library exists in the oldest Python that they declare.

The packages on torch run on one Python in CI, so that only this test sees a name of a newer one; `nox -s matrix` runs
their tests on the others.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from nox_environments import find_python

OLDEST = "3.10"
# Runs on the oldest Python: lines of `module name subscripted`, and those that do not hold are printed.
PROBE = """
import importlib, json, sys
for where, module, name, is_subscripted in json.load(sys.stdin):
    owner = importlib.import_module(module)
    if not hasattr(owner, name):
        try:
            importlib.import_module(f"{module}.{name}")
        except ImportError:
            print(f"{where}: {module} has no {name}")
        continue
    value = getattr(owner, name)
    is_enum = hasattr(type(value), "__getitem__")  # Signals["SIGINT"] is a look-up
    if is_subscripted and isinstance(value, type) and not is_enum and not hasattr(value, "__class_getitem__"):
        print(f"{where}: {module}.{name} takes no type argument")
"""


class Uses(ast.NodeVisitor):
    """Names of the standard library that a module uses when it runs: annotations are not evaluated."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.modules: dict[str, str] = {}
        self.names: dict[str, tuple[str, str]] = {}
        self.uses: list[tuple[str, str, str, bool]] = []

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if is_standard(alias.name):
                bound = alias.asname or alias.name.partition(".")[0]
                self.modules[bound] = alias.name if alias.asname else bound

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level == 0 and node.module and is_standard(node.module) and node.module != "__future__":
            for alias in node.names:
                self.names[alias.asname or alias.name] = (node.module, alias.name)
                self.add(node, node.module, alias.name, False)

    def visit_If(self, node: ast.If) -> None:
        if any(name in ast.unparse(node.test) for name in ("TYPE_CHECKING", "version_info", "hasattr")):
            return
        self.generic_visit(node)

    def visit_Try(self, node: ast.Try) -> None:
        if not any(name in ast.unparse(node) for name in ("except ImportError", "except AttributeError")):
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults), *node.body):
            self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Attribute(self, node: ast.Attribute, is_subscripted: bool = False) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in self.modules:
            self.add(node, self.modules[node.value.id], node.attr, is_subscripted)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.value, ast.Attribute):
            self.visit_Attribute(node.value, is_subscripted=True)
        elif isinstance(node.value, ast.Name) and node.value.id in self.names:
            self.add(node, *self.names[node.value.id], True)
        self.visit(node.slice)

    def add(self, node: ast.AST, module: str, name: str, is_subscripted: bool) -> None:
        self.uses.append((f"{self.path}:{node.lineno}", module, name, is_subscripted))


def is_standard(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def uses_of(text: str, path: Path) -> list[tuple[str, str, str, bool]]:
    visitor = Uses(path)
    visitor.visit(ast.parse(text))
    return visitor.uses


def missing_in_oldest(uses: list[tuple[str, str, str, bool]]) -> list[str]:
    python = find_python(OLDEST)
    if python is None:
        pytest.skip(f"Python {OLDEST} is not on this machine")
    done = subprocess.run(
        [python, "-W", "ignore", "-c", PROBE], input=json.dumps(uses), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def sources() -> Iterator[Path]:
    yield from sorted(ROOT.glob("packages/*/src/**/*.py"))


def test_sources_use_what_the_oldest_python_has() -> None:
    uses = [use for path in sources() for use in uses_of(path.read_text(encoding="utf-8"), path.relative_to(ROOT))]
    assert len(uses) > 1000
    assert missing_in_oldest(sorted(set(uses))) == []


def test_names_of_newer_pythons_are_reported() -> None:
    text = """
import logging, signal
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

class Handler(logging.StreamHandler[int]): ...

def annotated(value: logging.StreamHandler[int]) -> None:
    tables: logging.StreamHandler[int] = logging.getLevelNamesMapping()
    signal.Signals["SIGINT"]
"""
    reported = missing_in_oldest(uses_of(text, Path("a.py")))
    assert reported == [
        "a.py:3: datetime has no UTC",
        "a.py:4: enum has no StrEnum",
        "a.py:10: logging.StreamHandler takes no type argument",
        "a.py:13: logging has no getLevelNamesMapping",
    ]
