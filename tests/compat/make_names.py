"""Write ``names.json``: the names of MMEngine 0.10.7 and what libraries import of it.

Run with a Python that has mmengine 0.10.7: ``python make_names.py FOLDER_WITH_LIBRARIES``. Only names are stored.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARIES = [
    "mmcv",
    "mmpretrain",
    "mmseg",
    "mmdet",
    "mmpose",
    "mmaction",
    "mmocr",
    "mmdet3d",
    "mmagic",
    "xtuner",
    "opencompass",
]


def belongs(value: Any) -> bool:
    """Whether a value of a module of mmengine is its own and not another package's."""
    if isinstance(value, ModuleType):
        return value.__name__.startswith("mmengine")
    module = getattr(value, "__module__", None)
    if inspect.isclass(value) or inspect.isfunction(value):
        return str(module).startswith("mmengine")
    return module is None or str(module).startswith("mmengine")


def names_of_the_reference() -> dict[str, list[str]]:
    """Public names by module."""
    import mmengine

    modules = ["mmengine", *(found.name for found in pkgutil.walk_packages(mmengine.__path__, "mmengine."))]
    loaded = {name: importlib.import_module(name) for name in modules}
    return {
        name: sorted(key for key, value in vars(module).items() if not key.startswith("_") and belongs(value))
        for name, module in loaded.items()
    }


def names_of_star_imports(modules: Iterable[str]) -> dict[str, list[str]]:
    """What a star import brings, by module that has an ``__all__``, and for mmengine itself; in a fresh interpreter."""
    script = """
import importlib, json, sys
names = {}
exec("from mmengine import *", names)
star = {"mmengine": sorted(set(names) - {"__builtins__"})}
for name in sys.argv[1:]:
    public = getattr(importlib.import_module(name), "__all__", None)
    if public is not None:
        star[name] = sorted(set(public))
print(json.dumps(star))
"""
    call = [sys.executable, "-W", "ignore", "-c", script, *modules]
    output = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    star: dict[str, list[str]] = json.loads(output.splitlines()[-1])
    return star


def names_in_file(tree: ast.Module) -> set[str]:
    """Dotted names below mmengine that a file imports or reads as attributes of what it imported."""
    names: set[str] = set()
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "mmengine":
                    names.add(alias.name)
                    bound[alias.asname or "mmengine"] = alias.name if alias.asname else "mmengine"
        elif isinstance(node, ast.ImportFrom) and not node.level and str(node.module).split(".")[0] == "mmengine":
            for alias in node.names:
                if alias.name != "*":
                    names.add(f"{node.module}.{alias.name}")
                    bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def dotted(node: ast.expr) -> str | None:
        if isinstance(node, ast.Attribute):
            base = dotted(node.value)
            return base and f"{base}.{node.attr}"
        return bound.get(node.id) if isinstance(node, ast.Name) else None

    names.update(filter(None, (dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))))
    return names


def names_in_libraries(folder: Path) -> dict[str, list[str]]:
    """Libraries by the name that they use."""
    users: dict[str, set[str]] = defaultdict(set)
    for library in LIBRARIES:
        for path in (folder / library).rglob("*.py"):
            try:
                tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
            except SyntaxError:
                continue
            for name in names_in_file(tree):
                users[name].add(library)
    return {name: sorted(libraries) for name, libraries in sorted(users.items()) if resolves(name)}


def resolves(name: str) -> bool:
    """Whether the reference has the name."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            value = getattr(value, part, None)
        return value is not None
    return False


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    data = {"reference": names_of_the_reference(), "libraries": names_in_libraries(Path(sys.argv[1]))}
    data["star"] = names_of_star_imports(data["reference"])
    sections = []
    for section, names in data.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in names.items()]
        sections.append(f' "{section}": {{\n' + ",\n".join(lines) + "\n }")
    text = "{\n" + ",\n".join(sections) + "\n}\n"
    Path(__file__).with_name("names.json").write_text(text, encoding="utf-8")
