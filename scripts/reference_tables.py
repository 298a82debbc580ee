"""Writes docs/reference.md: every setting of a run, and everything that a config can name.

``python scripts/reference_tables.py --update`` writes the page; without ``--update`` it prints it.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
from pathlib import Path

import eng.registry
from eng.registry import Registry
from eng.runner import settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference.md"
HEAD = """# Reference of settings and names

Made by `scripts/reference_tables.py` from the docstrings; a test holds it up to date.

"""
REGISTRIES = {
    "HOOKS": "Hooks",
    "LOOPS": "Loops",
    "OPTIM_WRAPPERS": "Optimizer wrappers",
    "OPTIM_WRAPPER_CONSTRUCTORS": "Optimizer constructors",
    "PARAM_SCHEDULERS": "Schedules of learning rate and momentum",
    "DATASETS": "Datasets",
    "DATA_SAMPLERS": "Samplers",
    "TRANSFORMS": "Transforms",
    "METRICS": "Metrics",
    "MODEL_WRAPPERS": "Model wrappers",
    "STRATEGIES": "Strategies",
    "VISBACKENDS": "Backends of the visualizer",
}


def main() -> None:
    """Prints the page, or writes it with ``--update``."""
    text = page()
    if "--update" in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    else:
        print(text)


def page() -> str:
    """The text of docs/reference.md."""
    parts = [HEAD, "## Settings of a run\n\n", settings_table("RunnerSettings")]
    parts += [
        "\n### `randomness`\n\n",
        settings_table("Randomness"),
        "\n### `env_cfg`\n\n",
        settings_table("EnvSettings"),
    ]
    for name, title in REGISTRIES.items():
        table = names_table(getattr(eng.registry, name))
        if table.count("\n") > 2:  # more than its head
            parts.append(f"\n## {title}\n\nNamed by `type` in a config; the registry is `{name}`.\n\n{table}")
    return "".join(parts)


def settings_table(class_name: str) -> str:
    """A row for each field of a settings class, with its default and its docstring."""
    tree = ast.parse(inspect.getsource(settings))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    rows = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            default = f"`{default_of(field)}`" if field.value is not None else "required"
            rows.append(f"| `{ast.unparse(field.target)}` | {default} | {plain(str(text.value.value))} |")
    return "\n".join(rows) + "\n"


def default_of(field: ast.AnnAssign) -> str:
    """The default as source; a factory is shown by what it makes."""
    assert field.value is not None
    factories = [node.body for node in ast.walk(field.value) if isinstance(node, ast.Lambda)]
    return ast.unparse(factories[0] if factories else field.value)


def names_table(registry: Registry) -> str:
    """A row for each class that a registry of eng knows, with the first sentence of its docstring."""
    registry.import_from_location()
    rows = ["| type | what it is |", "| --- | --- |"]
    for name, part in sorted(registry.module_dict.items()):
        is_own = getattr(part, "__module__", "").startswith("eng.")
        if is_own and (inspect.isclass(part) or inspect.isfunction(part)):  # not what an installed library offers
            sentence = re.split(r"(?<=[.:])\s", inspect.cleandoc(part.__doc__ or ""), maxsplit=1)[0]
            rows.append(f"| `{name}` | {plain(sentence.removesuffix(':'))} |")
    return "\n".join(rows) + "\n"


def plain(text: str) -> str:
    """Docstring markup as Markdown that fits a table cell."""
    text = re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", text.replace("``", "`"))
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
