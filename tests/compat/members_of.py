"""Members of the classes of a package: methods, properties, class attributes, and attributes that methods assign.

As a script, with a Python that has mmengine 0.10.7 and a folder with libraries: writes ``members.json``, which holds per
public class its public members, and underscored ones that a library reads, assigns, calls or overrides, with the
libraries that do. Only names are stored.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import sys
import textwrap
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIBRARIES = "mmcv mmpretrain mmseg mmdet mmpose mmaction mmocr mmdet3d mmagic xtuner opencompass".split()  # noqa: SIM905  # a list of words
# Names of variables and attributes by which libraries hold objects of these classes.
HOLDERS = {
    "runner": "Runner", "visualizer": "Visualizer", "_visualizer": "Visualizer", "message_hub": "MessageHub",
    "optim_wrapper": "OptimWrapper", "train_loop": "EpochBasedTrainLoop", "val_loop": "ValLoop",
    "test_loop": "TestLoop", "log_processor": "LogProcessor", "evaluator": "Evaluator", "inferencer": "BaseInferencer",
}  # fmt: skip


def assigned_in(cls: type[Any]) -> set[str]:
    """Attributes of ``self`` that the methods of one class assign."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return set()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                names.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("register_buffer", "__setattr__")):
            names.update(arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))
    return names


def members_of(cls: type[Any], package: str) -> set[str]:
    """Members that classes of `package` give to `cls`."""
    names: set[str] = set()
    for base in cls.__mro__:
        if base.__module__.split(".")[0] == package:
            names |= {*vars(base), *assigned_in(base), *vars(base).get("__annotations__", {})}
    return {name for name in names if not name.startswith("__")}


def classes_of_the_reference() -> dict[str, type[Any]]:
    """Public classes by ``module.name``."""
    modules = json.loads((HERE / "names.json").read_text(encoding="utf-8"))["reference"]
    loaded = {module: importlib.import_module(module) for module in modules}
    found = {}
    for module, names in modules.items():
        for name in names:
            value = getattr(loaded[module], name, None)
            if inspect.isclass(value) and value.__module__ == module:
                found[f"{module}.{name}"] = value
    return found


def base_name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


class Libraries:
    """The classes of libraries and what they derive from."""

    def __init__(self, folder: Path, classes: dict[str, set[str]]) -> None:
        self.classes = classes
        self.by_name: dict[str, list[str]] = defaultdict(list)
        for full in classes:
            self.by_name[full.rpartition(".")[2]].append(full)
        self.defined: dict[tuple[str, str], list[Any]] = defaultdict(list)
        self.files: list[Any] = []
        for library in LIBRARIES:
            for path in (folder / library).rglob("*.py"):
                if "/.mim/" not in str(path):
                    self.read(library, path)

    def read(self, library: str, path: Path) -> None:
        try:
            tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        except SyntaxError:
            return
        origin = {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.files.append((library, tree, origin))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                self.defined[library, node.name].append((node, origin))

    def bases(
        self, library: str, name: str, origin: dict[str, tuple[str, str]], seen: tuple[str, ...] = ()
    ) -> set[str]:
        """Classes of the reference from which `name`, as a file of `library` knows it, derives."""
        module, original = origin.get(name, ("", name))
        top = module.split(".")[0]
        if top == "mmengine":
            return set(self.by_name.get(original, ()))
        if original in seen:
            return set()
        found: set[str] = set()
        home = top if top in LIBRARIES else library
        for node, of_file in self.defined.get((home, original), ()):
            for base in node.bases:
                known = base_name(base)
                if known:
                    found |= self.bases(home, known, of_file, (*seen, original))
        return found

    def uses(self) -> dict[str, set[str]]:
        """Libraries by ``class.member`` of the reference."""
        users: dict[str, set[str]] = defaultdict(set)
        for library, tree, origin in self.files:
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    parents = {
                        full
                        for base in node.bases
                        if base_name(base)
                        for full in self.bases(library, str(base_name(base)), origin)
                    }
                    for name in touched_in(node):
                        for full in parents:
                            if name in self.classes[full]:
                                users[f"{full}.{name}"].add(library)
                elif isinstance(node, ast.Attribute):
                    for full in self.by_name.get(HOLDERS.get(str(base_name(node.value)), ""), ()):
                        if node.attr in self.classes[full]:
                            users[f"{full}.{node.attr}"].add(library)
        return users


def touched_in(node: ast.ClassDef) -> set[str]:
    """Members that a class defines, or reads and assigns by ``self``, ``cls`` and ``super()``."""
    names = {part.name for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            owner = ast.unparse(part.value)
            if owner in ("self", "cls") or owner.startswith("super("):
                names.add(part.attr)
    return names


def main(folder: Path) -> None:
    classes = classes_of_the_reference()
    members = {full: members_of(cls, "mmengine") for full, cls in classes.items()}
    users = Libraries(folder, members).uses()
    lines = []
    for full, cls in classes.items():
        inherited = {
            name for base in cls.__mro__[1:] for name in members.get(f"{base.__module__}.{base.__qualname__}", ())
        }
        own = {}
        for name in sorted(members[full]):
            used_by = sorted(users.get(f"{full}.{name}", ()))
            if (used_by or not name.startswith("_")) and (used_by or name not in inherited):
                own[name] = used_by
        if own:
            lines.append(f" {json.dumps(full)}: {json.dumps(own)}")
    (HERE / "members.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main(Path(sys.argv[1]))
