# ruff: noqa: PTH109, PTH118  # paths may be URLs
"""Where a value came from: steps, chains of steps, and the two kinds of things that can tell them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

Path = tuple[Any, ...]


class Missing:
    """The class of `MISSING`, which stands for a value that was removed or never there."""

    def __repr__(self) -> str:
        return "<removed>"

    def __reduce__(self) -> str:
        return "MISSING"  # copies and pickles are the same object


MISSING: Any = Missing()
BASE_FILE, CHILD_FILE, ONLY_FILE = "base file", "child file", "config file"
COMMAND_LINE, ENVIRONMENT, CODE = "command line", "environment variable", "code"
DELETE_KEY = "_delete_"


@dataclass(frozen=True)
class Step:
    """One setting of one value.

    Attributes:
        layer: ``"base file"``, ``"child file"``, ``"config file"`` (one without bases),
            ``"command line"``, ``"environment variable"`` or ``"code"``.
        file: path of the file that set it; the variable's name for an environment variable; None where unknown.
        line: 1-based line in `file`, or None.
        value: the value that this step gave.
    """

    layer: str
    file: str | None
    line: int | None
    value: Any

    @property
    def where(self) -> str:
        """``'configs/a.py:12'``, or the layer's name where no file is known."""
        if self.file is None:
            return self.layer
        if self.line:
            return f"{self.file}:{self.line}"
        return self.file

    def __str__(self) -> str:
        text = repr(self.value)
        if len(text) > 60:
            text = text[:57] + "…"
        if self.where != self.layer:
            return f"{self.layer:<20}  {self.where}  = {text}"
        return f"{self.layer}  = {text}"


class Explanation(tuple[Step, ...]):
    """The steps of one key, oldest first; prints as a chain."""

    key: str

    def __new__(cls, key: str, steps: Sequence[Step]) -> Explanation:
        self = super().__new__(cls, steps)
        self.key = key
        return self

    def __getnewargs__(self) -> tuple[str, tuple[Step, ...]]:
        return self.key, tuple(self)

    def __str__(self) -> str:
        lines = [f"  {number}. {step}" for number, step in enumerate(self, 1)]
        if lines:
            return "\n".join([self.key, *lines])
        return f"{self.key}\n  no record of where it was set"

    __repr__ = __str__


class Provider(Protocol):
    """Tells the steps of a value by its path below some root."""

    def steps(self, path: Path) -> list[Step]: ...


@dataclass
class Lines:
    """Lines of a value and of what it contains; `variables` names the environment variables in its text."""

    line: int | None = None
    children: dict[Any, Lines] = field(default_factory=dict)
    variables: tuple[tuple[str, Any], ...] = ()

    def find(self, path: Path) -> Lines:
        """The deepest known node on `path`: what has no line of its own has that of what holds it."""
        node, line = self, self.line
        for key in path:
            child = node.children.get(key)
            if child is None:
                return Lines(line)
            node, line = child, child.line or line
        if node.line:
            return node
        return Lines(line, node.children, node.variables)


@dataclass
class Layer:
    """What one file says on its own, before it is merged.

    Attributes:
        name: base file or child file.
        file: path for messages.
        values: gives what the file says; never changed after it is read.
        lines: gives the line tree; called at most once, on the first question.
        names: new top-level name -> name in the values, where an import renames or selects; None for all.
    """

    name: str
    file: str
    values: Callable[[], Mapping[str, Any]]
    lines: Callable[[], Lines]
    names: Mapping[str, str] | None = None

    def seen_as(self, name: str) -> Layer:
        """The same layer under another name: of a base file, or of the file itself."""
        return Layer(name, self.file, self.values, self.lines, self.names)

    def renamed(self, names: Mapping[str, str]) -> Layer:
        """The layer as an ``import a as b`` shows it."""
        inner = self.names
        if inner is None:
            chosen = names
        else:
            chosen = {new: inner[old] for new, old in names.items() if old in inner}
        return Layer(self.name, self.file, self.values, self.lines, chosen)

    def steps(self, path: Path) -> list[Step]:
        """The steps that this file adds for `path`."""
        if self.names is not None and path:
            if path[0] not in self.names:
                return []
            path = (self.names[path[0]], *path[1:])
        value, removed = _descend(self.values(), path)
        if value is MISSING and not removed:
            return []
        node = self.lines().find(path)
        step = Step(self.name, self.file, node.line, value)
        if value is MISSING or not node.variables:
            return [step]
        return self._with_variables(step, node)

    def _with_variables(self, step: Step, node: Lines) -> list[Step]:
        steps = [Step(ENVIRONMENT, f"${name}", None, step.value) for name, _ in node.variables]
        if len(node.variables) == 1:
            first = node.variables[0][1]
        else:
            first = step.value
        return [Step(step.layer, step.file, step.line, first), *steps]


@dataclass
class FileProvenance:
    """The layers of files behind one config, oldest first."""

    layers: list[Layer]

    def steps(self, path: Path) -> list[Step]:
        """The chain of `path` through the files."""
        return [step for layer in self.layers for step in layer.steps(path)]


@dataclass
class EditProvenance:
    """A subtree that was set in one go, by code or from the command line.

    Attributes:
        step: the setting; its value is a snapshot.
        before: chain of what stood in the place, asked with the path below the place.
    """

    step: Step
    before: Callable[[Path], list[Step]] | None = None

    def steps(self, path: Path) -> list[Step]:
        """The chain of `path` below the place that was set."""
        earlier = []
        if self.before:
            earlier = self.before(path)
        value, removed = _descend(self.step.value, path)
        if value is MISSING and not removed:
            return earlier
        return [*earlier, Step(self.step.layer, self.step.file, self.step.line, value)]


@dataclass
class FrozenProvenance:
    """Chains written out as data; what a pickle carries."""

    chains: dict[Path, list[Step]]

    def steps(self, path: Path) -> list[Step]:
        """The chain as it was when it was frozen; that of what holds it, where there is none."""
        while path and path not in self.chains:
            path = path[:-1]
        return self.chains.get(path, [])


def _descend(data: Any, path: Path) -> tuple[Any, bool]:
    """The value at `path` of a raw layer, and whether the layer removes what was there. Imports nothing lazy."""
    removed = False
    for key in path:
        if isinstance(data, dict):
            removed = removed or bool(dict.get(data, DELETE_KEY))
            if dict.__contains__(data, key) or not isinstance(key, int):
                name = key
            else:
                name = str(key)
            if not dict.__contains__(data, name):
                return MISSING, removed
            data = dict.__getitem__(data, name)
        elif isinstance(data, (list, tuple)) and isinstance(key, int) and -len(data) <= key < len(data):
            data = data[key]
        else:
            return MISSING, True
    return data, removed


def caller_step(layer: str, value: Any) -> Step:
    """A step at the line of the first frame outside of eng: the Runner and the commands set values for their caller."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the documented way to the caller's line
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    if frame is None:  # a command of eng, or a thread that it started
        return Step(layer, None, None, value)
    return Step(layer, short_path(frame.f_code.co_filename), frame.f_lineno, value)


def _is_ours(frame: FrameType) -> bool:
    """Whether a frame runs code of eng, also as ``eng`` or ``python -m eng.cli``, or the code of others that starts it."""
    name, spec = frame.f_globals.get("__name__", ""), frame.f_globals.get("__spec__")
    if name == "__main__" and os.path.split(frame.f_code.co_filename)[1] == "eng":  # the console script
        return True
    if name == "__main__":
        module = str(getattr(spec, "name", name))
    else:
        module = str(name)
    return module.startswith("eng.") or module.partition(".")[0] in ("runpy", "threading", "click")


def short_path(path: str) -> str:
    """`path` relative to the working directory where it lies below, for messages."""
    try:
        folder = os.path.join(os.getcwd(), "")
    except OSError:  # the working directory is gone
        return path
    if path.startswith(folder) and ".." not in path:
        return path[len(folder) :]
    return path
