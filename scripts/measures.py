"""Measures of the code's structure: ``python scripts/measures.py [--list MEASURE]``.

Each line is a measure, its value and its target. ``--list private``, ``cycles``, ``any``, ``conditionals`` or ``probes`` prints what
was counted. ``--check`` prints import cycles and nested conditional expressions, of which there are none, and exits with 1 where
there is one; `nox -s lint` runs it.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNNER = ROOT / "packages/runner/src/eng/runner"
# The bridge to old code names what that code names.
_NOT_COUNTED = {"compat"}
# Python's manual documents these functions, although their names begin with an underscore (os, sys).
_DOCUMENTED = {"_exit", "_current_frames"}


def main() -> int:
    """Prints the table, or the entries of one measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", choices=["private", "cycles", "any", "conditionals", "probes", "members"])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    shown = options.list
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("packages/*/src/**/*.py"))}
    hub = {path: tree for path, tree in trees.items() if path.is_relative_to(RUNNER)}
    entries = {
        "members": members(trees),
        "any": [line for path, tree in hub.items() for line in any_arguments(path, tree)],
        "probes": [line for path, tree in hub.items() for line in probes(path, tree)],
        "conditionals": [line for path, tree in trees.items() for line in conditionals(path, tree)],
        "private": foreign_private(trees),
        "cycles": [f"{room}: {', '.join(sorted(cycle))}" for room, cycle in cycles(trees)],
    }
    if options.check:
        lines = [*entries["cycles"], *(line for line in entries["conditionals"] if " nested " in line)]
        for line in lines:
            print(line)
        return int(bool(lines))
    if shown:
        print("\n".join(entries[shown]))
        return 0
    hub_lines, all_lines = lines_of(hub), lines_of(trees)
    arguments = sum(len(list(arguments_of(tree))) for tree in hub.values())
    nested = sum(" nested " in line for line in entries["conditionals"])
    rows = [
        ("members of Runner", str(len(entries["members"])), "as few as fit"),
        ("lines of runner.py", str(lines_of({RUNNER / "runner.py": ast.parse("")})), "350"),
        (
            "lines of the runner package",
            str(lines_of({p: t for p, t in trees.items() if "packages/runner" in str(p)})),
            "",
        ),
        ("arguments typed Any in runner/", f"{len(entries['any']) / arguments:.1%} of {arguments}", "5 %"),
        ("hasattr and getattr per 10k lines in runner/", per_10k(entries["probes"], hub_lines), "30"),
        ("conditional expressions per 10k lines", per_10k(entries["conditionals"], all_lines), "90"),
        ("nested conditional expressions", str(nested), "0"),
        ("private names of third parties", str(len(entries["private"])), "15"),
        ("cycles inside packages", str(len(entries["cycles"])), "0"),
        ("test mirror", mirror(), "80 %"),
    ]
    for name, value, target in rows:
        print(f"{name:<46} {value:>14}   target {target}")
    return 0


def lines_of(trees: dict[Path, ast.Module]) -> int:
    """Lines of the files, blank ones and comments included."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in trees)


def per_10k(entries: list[str], lines: int) -> str:
    """Entries per 10,000 lines."""
    return f"{len(entries) / lines * 10_000:.0f}"


def place(path: Path, node: ast.expr | ast.stmt | ast.arg) -> str:
    """File and line of a node."""
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def members(trees: dict[Path, ast.Module]) -> list[str]:
    """Names that the class Runner defines, without annotations."""
    body = next(
        node.body
        for node in trees[RUNNER / "runner.py"].body
        if isinstance(node, ast.ClassDef) and node.name == "Runner"
    )
    names = [node.name for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    names += [
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    names += [
        node.target.id
        for node in body
        if isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name)
    ]
    return sorted(set(names) - {"__init__"})


def arguments_of(tree: ast.Module) -> Iterator[ast.arg]:
    """The arguments of all functions, without ``self`` and ``cls``."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield from (argument for argument in every if argument.arg not in ("self", "cls"))


def any_arguments(path: Path, tree: ast.Module) -> Iterator[str]:
    """Arguments whose type is ``Any`` itself."""
    for argument in arguments_of(tree):
        if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "Any":
            yield f"{place(path, argument)} {argument.arg}"


def probes(path: Path, tree: ast.Module) -> Iterator[str]:
    """Calls of hasattr, and of getattr with a literal name."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        has_literal = len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
        if node.func.id == "hasattr" or (node.func.id == "getattr" and has_literal):
            yield f"{place(path, node)} {ast.unparse(node)}"


def conditionals(path: Path, tree: ast.Module) -> Iterator[str]:
    """Conditional expressions; those inside another one are marked."""
    for node in ast.walk(tree):
        if isinstance(node, ast.IfExp):
            inner = any(isinstance(child, ast.IfExp) for child in ast.walk(node) if child is not node)
            yield f"{place(path, node)} {'nested ' if inner else ''}{ast.unparse(node)[:80]}"


def foreign_private(trees: dict[Path, ast.Module]) -> list[str]:
    """Names with one leading underscore that no file of eng defines: they belong to somebody else."""
    own = {name for tree in trees.values() for name in defined(tree)}
    own |= {part for path in trees for part in (path.stem, *path.parent.parts)}
    used: dict[str, str] = {}
    for path, tree in trees.items():
        if _NOT_COUNTED.intersection(path.relative_to(ROOT).parts):
            continue
        for name, node in private_uses(tree):
            if name not in own and name not in _DOCUMENTED:
                used.setdefault(name, f"{name}  {place(path, node)}")
    return sorted(used.values())


def defined(tree: ast.Module) -> Iterator[str]:
    """Names that a file binds: functions, classes, variables and attributes of ``self``."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            yield node.attr


def is_self(node: ast.expr) -> bool:
    """Whether an expression is ``self`` or ``cls``."""
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def private_uses(tree: ast.Module) -> Iterator[tuple[str, ast.expr | ast.stmt]]:
    """Private attributes that are read or written, probed for, and private names that are imported from other libraries."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.attr, node
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("getattr", "hasattr", "setattr")
        ):
            name = node.args[1] if len(node.args) > 1 else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and is_private(name.value):
                yield name.value, node
        elif isinstance(node, ast.ImportFrom) and not node.level and not (node.module or "").startswith("eng"):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from ((name, node) for name in names if is_private(name))


def is_private(name: str) -> bool:
    """Whether a name begins with exactly one underscore."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def cycles(trees: dict[Path, ast.Module]) -> list[tuple[str, set[str]]]:
    """Groups of modules of one room (``eng.X``) that import each other, imports inside of functions and for types included."""
    modules = {module_name(path): (path, tree) for path, tree in trees.items()}
    graph = {
        name: {target for target in imports(name, path, tree, modules) if room(target) == room(name) and target != name}
        for name, (path, tree) in modules.items()
    }
    return [(room(min(group)), group) for group in strongly_connected(graph) if len(group) > 1]


def room(module: str) -> str:
    """The first two parts of a module's name."""
    return ".".join(module.split(".")[:2])


def module_name(path: Path) -> str:
    """The dotted name of a file below a ``src`` folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts[3:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(name: str, path: Path, tree: ast.Module, modules: dict[str, tuple[Path, ast.Module]]) -> Iterator[str]:
    """The modules of eng that a file imports by name."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                submodule = f"{target}.{alias.name}"
                chosen = submodule if submodule in modules else target
                if chosen in modules:
                    yield chosen


def strongly_connected(graph: dict[str, set[str]]) -> list[set[str]]:
    """Groups of nodes that reach each other."""
    reach = {node: reachable(graph, node) for node in graph}
    groups = {frozenset({node, *(other for other in reach[node] if node in reach[other])}) for node in graph}
    return [set(group) for group in groups]


def reachable(graph: dict[str, set[str]], begin: str) -> set[str]:
    """Nodes at the end of a path from ``begin``."""
    seen: set[str] = set()
    waiting = list(graph[begin])
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += graph[node]
    return seen


def mirror() -> str:
    """The last line of the script that counts mirrored modules."""
    script = ROOT / "scripts/test_mirror.py"
    output = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False).stdout
    line = next((line for line in output.splitlines() if line.startswith("all")), "?")
    return " ".join(line.split()[1:])


if __name__ == "__main__":
    raise SystemExit(main())
