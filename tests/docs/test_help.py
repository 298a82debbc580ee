"""`eng help` over the real pages: it knows every public error, and finds what users ask for."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest

from eng.cli import _help

DOCS = Path(__file__).parents[2] / "docs"
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
