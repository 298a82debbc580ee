"""Share of the modules with behaviour that have a test file of their name: ``python scripts/test_mirror.py [--list]``.

``packages/config/src/eng/config/_merge.py`` is mirrored by a ``test_merge.py``, or by a ``test_config_merge.py`` where
several folders have a module of that name. The tests of a package are those in its ``tests`` folder; those of the
bridge, which need every package, are in ``tests/compat`` too.
Fails below the share of :data:`FLOOR`.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOOR = 0.8
TESTS_ELSEWHERE = {"compat": ["tests/compat"], "eng": ["tests/cli"]}


def main() -> int:
    """Prints the share of each package and of all; gives the exit status."""
    rows, missing = [], []
    for package in sorted(path for path in (ROOT / "packages").iterdir() if path.is_dir()):
        modules = modules_with_behaviour(package / "src")
        unmirrored = without_mirror(package)
        rows.append((package.name, len(modules) - len(unmirrored), len(modules)))
        missing += [str(path.relative_to(ROOT)) for path in unmirrored]
    mirrored, total = sum(row[1] for row in rows), sum(row[2] for row in rows)
    for name, count, number in [*rows, ("all", mirrored, total)]:
        print(f"{name:12} {count:4} of {number:4} modules  {count / max(number, 1):4.0%}")
    if "--list" in sys.argv:
        print("\n".join(missing))
    if mirrored < FLOOR * total:
        print(f"below {FLOOR:.0%}: add a test_<module>.py for a module of `--list`")
        return 1
    return 0


def without_mirror(package: Path) -> list[Path]:
    """Modules of a package that have behaviour and no test file of their name."""
    folders = [package / "tests", *(ROOT / folder for folder in TESTS_ELSEWHERE.get(package.name, ()))]
    tests = {path.stem for folder in folders for path in folder.rglob("test_*.py")}
    return [module for module in modules_with_behaviour(package / "src") if not tests.intersection(test_names(module))]


def modules_with_behaviour(folder: Path) -> list[Path]:
    """Modules that define a function with a body; ``__init__`` and ``__main__`` are left out."""
    modules = (path for path in sorted(folder.rglob("*.py")) if not path.stem.startswith("__"))
    return [path for path in modules if has_behaviour(ast.parse(path.read_text(encoding="utf-8")))]


def has_behaviour(tree: ast.Module) -> bool:
    """Whether a module has a function that does something, which the methods of a Protocol do not."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(not all(_does_nothing(statement) for statement in function.body) for function in functions)


def _does_nothing(statement: ast.stmt) -> bool:
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_text or isinstance(statement, ast.Pass)


def test_names(module: Path) -> list[str]:
    """Names that the test file of a module may have."""
    stem, folder = module.stem.strip("_"), module.parent.name.strip("_")
    return [f"test_{stem}", f"test_{folder}_{stem}"]


if __name__ == "__main__":
    sys.exit(main())
