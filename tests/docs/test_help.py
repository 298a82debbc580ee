"""`eng help` over the real pages: it knows every public error, and finds what users ask for."""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.util
from pathlib import Path

import pytest

from eng.cli import _help

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PACKAGES = (
    "analysis", "checkpoint", "compat", "config", "dataset", "dist", "evaluator", "fileio", "hooks", "hub", "infer",
    "logging", "model", "optim", "registry", "runner", "structures", "tune", "visualization",
)  # fmt: skip
QUESTIONS = {
    "tutorial": "tutorials/",
    "gradient accumulation": "how-to/accumulate-gradients.md",
    "early stopping": "how-to/early-stopping.md",
    "freeze": "how-to/freeze.md",
    "fine-tune": "tutorials/fine-tuning.md",
    "export": "how-to/export.md",
    "EMA": "how-to/average-weights.md",
    "Lightning": "migrate/from-lightning.md",
    "transform": "how-to/write-a-transform.md",
    "why is my loss nan": "how-to/debugging.md",
    "train on images in a folder": "tutorials/image-folder.md",
    "two gpus": "tutorials/several-gpus.md",
    "validation split": "data.md",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_error_is_explained(package: str) -> None:
    module = importlib.import_module(f"eng.{package}")
    public = [getattr(module, name) for name in module.__all__]
    errors = [item for item in public if isinstance(item, type) and issubclass(item, Exception)]
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    ours = {error.__name__ for error in errors if error.__module__.startswith("eng.")}
    assert {name for name in ours if f"`{name}`" not in text} == set()


@pytest.mark.parametrize(("question", "page"), QUESTIONS.items())
def test_terminal_finds_a_page(question: str, page: str) -> None:
    assert _help.find_page(DOCS, question).relative_to(DOCS).as_posix().startswith(page)


# Caught where they are raised, so that no user sees them.
INTERNAL = {
    "ForeignFile",
    "MalformedPickleError",
    "NameRefusedError",
    "NotPlainError",
    "Stopped",
    "UndefinedMarkError",
    "_DeviceError",
}
OF_LIBRARIES = {"ClickException", "JSONDecodeError", "UnpicklingError", "YAMLError"}


def test_every_error_class_of_the_sources_is_explained() -> None:
    known = set(_help.explanations(DOCS))
    classes = error_classes()
    assert len(classes) > 100
    assert classes - known - INTERNAL == set(), "add a row to docs/troubleshooting.md"
    assert classes >= INTERNAL
    assert INTERNAL & known == set()


def error_classes() -> set[str]:
    """Names of all classes in the sources that inherit from an exception, directly or through others."""
    bases: dict[str, set[str]] = {}
    for path in ROOT.glob("packages/*/src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                names = (
                    base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases
                )
                bases.setdefault(node.name, set()).update(names)
    builtin = {
        name for name, item in vars(builtins).items() if isinstance(item, type) and issubclass(item, BaseException)
    }
    errors = builtin | OF_LIBRARIES
    while more := {name for name, parents in bases.items() if name not in errors and parents & errors}:
        errors |= more
    return errors & set(bases)
