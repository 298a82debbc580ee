from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import eng.registry

HERE = Path(__file__).parent
PUBLIC = [
    "Registry", "DefaultScope", "init_default_scope", "add_scope_synonym", "remove_scope_synonym", "isolated_registries", "ManagerMeta", "ManagerMixin",
    "build_from_cfg", "build_model_from_cfg", "build_runner_from_cfg", "build_scheduler_from_cfg", "check", "Finding", "Schema", "Node", "Plain", "Shape",
    "count_registered_modules", "traverse_registry_tree", "BuildError", "BuildNode", "DuplicateNameError",
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
