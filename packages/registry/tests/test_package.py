from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import eng.registry

HERE = Path(__file__).parent
SOURCE = Path(eng.registry.__file__).parent
PUBLIC = [
    "Registry", "InstalledClass", "DefaultScope", "init_default_scope", "add_scope_synonym", "remove_scope_synonym", "isolated_registries", "ManagerMeta", "ManagerMixin",
    "build_from_cfg", "build_model_from_cfg", "build_runner_from_cfg", "build_scheduler_from_cfg", "check", "Finding", "Schema", "Node", "Plain", "Shape",
    "count_registered_modules", "traverse_registry_tree", "build_chain", "BuildNode", "DuplicateNameError",
    "UnknownTypeError", "UntrustedTypeError", "registered_only", "RUNNERS", "RUNNER_CONSTRUCTORS", "LOOPS", "HOOKS", "LOG_PROCESSORS", "STRATEGIES",
    "DATASETS", "DATA_SAMPLERS", "TRANSFORMS", "FUNCTIONS", "MODELS", "MODEL_WRAPPERS", "WEIGHT_INITIALIZERS",
    "TASK_UTILS", "OPTIMIZERS", "OPTIM_WRAPPERS", "OPTIM_WRAPPER", "OPTIM_WRAPPER_CONSTRUCTORS", "PARAM_SCHEDULERS",
    "METRICS", "EVALUATOR", "VISUALIZERS", "VISBACKENDS", "INFERENCERS", "__version__",
]  # fmt: skip


def test_public_names() -> None:
    assert eng.registry.__all__ == PUBLIC
    assert all(hasattr(eng.registry, name) for name in PUBLIC)


def test_import_is_light() -> None:
    code = "import sys, eng.registry; print(*sorted({'torch', 'numpy', 'rich', 'yaml', 'click'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == ""


def modules() -> list[str]:
    return [each.name for each in pkgutil.walk_packages(eng.registry.__path__, "eng.registry.")]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert failed == 0


def code_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (HERE.parent / "README.md").read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", code_blocks(), ids=lambda block: re.sub(r"\W+", "-", block[:30]))
def test_blocks_of_the_readme_run(block: str, tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    script.write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def imports_of(file: Path) -> set[str]:
    """The modules of the package that a file imports, at its top or inside of a function, but for types alone."""
    tree = ast.parse(file.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    folder = file.parent.relative_to(SOURCE).parts
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = folder[: len(folder) + 1 - node.level]
            module = (*base, *(node.module or "").split(".")) if node.module else base
            found |= {".".join((*module, alias.name)) for alias in node.names} | {".".join(module)}
    return found


def test_modules_import_one_another_in_one_direction() -> None:
    names = {".".join(file.relative_to(SOURCE).with_suffix("").parts): file for file in SOURCE.rglob("*.py")}
    inner = {name: file for name, file in names.items() if not name.endswith("__init__")}
    graph = {name: imports_of(file) & inner.keys() for name, file in inner.items()}
    assert sum(map(len, graph.values())) > 20
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError where there is a circle
