# ruff: noqa: PTH109, PTH118  # paths may be URLs
"""Records which file, line, override or code set each value of a config; `Config.explain` shows these steps."""

from __future__ import annotations

import inspect
import os
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
        # A string makes pickle and copy return the global `MISSING`, so that `value is MISSING` stays true.
        return "MISSING"


MISSING: Any = Missing()
BASE_FILE, CHILD_FILE, ONLY_FILE = "base file", "child file", "config file"
COMMAND_LINE, ENVIRONMENT, CODE = "command line", "environment variable", "code"
DELETE_KEY = "_delete_"


@dataclass(frozen=True)
class Step:
    """One assignment to one key of a config: who set it, where, and to which value.

    Attributes:
        layer: ``"base file"``, ``"child file"``, ``"config file"`` (one without bases),
            ``"command line"``, ``"environment variable"`` or ``"code"``.
        file: path of the file that set the value; for an environment variable its name; None if unknown.
        line: 1-based line in `file`, or None if unknown.
        value: the value that was assigned.
    """

    layer: str
    file: str | None
    line: int | None
    value: Any

    @property
    def where(self) -> str:
        """File and line such as ``'configs/a.py:12'``; the name of the layer if no file is known."""
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
    """All assignments to one key, oldest first, as returned by `Config.explain`; prints as a numbered list."""

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
    """Returns the assignments to a value, given the path of its keys from the root of a config."""

    def steps(self, path: Path) -> list[Step]: ...


@dataclass
class Lines:
    """The lines of a file on which a value and its nested values are written, as a tree.

    Attributes:
        line: 1-based line of the value; None if unknown.
        children: the lines of nested values by key or index.
        variables: name and default value of each environment variable substituted into the value.
    """

    line: int | None = None
    children: dict[Any, Lines] = field(default_factory=dict)
    variables: tuple[tuple[str, Any], ...] = ()

    def find(self, path: Path) -> Lines:
        """Returns the line tree of the value at `path`; a value without a known line gets the line of its parent."""
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
    """The values that one config file sets itself, before they are merged with those of other files.

    Attributes:
        name: layer name that steps show, such as ``"base file"`` or ``"child file"``.
        file: path for messages.
        values: returns the values of the file; they never change after loading.
        lines: returns the line tree; it is computed at the first call, which is only made by `Config.explain`.
        names: for a base config imported by name, new top-level name -> name in `values`; None for all names.
    """

    name: str
    file: str
    values: Callable[[], Mapping[str, Any]]
    lines: Callable[[], Lines]
    names: Mapping[str, str] | None = None

    def with_layer_name(self, name: str) -> Layer:
        """Returns a copy with another layer name, such as ``"child file"`` instead of ``"base file"``."""
        return Layer(name, self.file, self.values, self.lines, self.names)

    def renamed(self, names: Mapping[str, str]) -> Layer:
        """Returns a copy whose top-level keys are selected and renamed as by ``from base import a as b``.

        Args:
            names: new name -> old name.
        """
        inner = self.names
        if inner is None:
            chosen = names
        else:
            chosen = {new: inner[old] for new, old in names.items() if old in inner}
        return Layer(self.name, self.file, self.values, self.lines, chosen)

    def steps(self, path: Path) -> list[Step]:
        """Returns the assignments that this file makes to the value at `path`: none or one, and one per variable."""
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
        """Splits a step into the default that the file writes and the environment variables that replace it."""
        variable_steps = [Step(ENVIRONMENT, f"${name}", None, step.value) for name, _ in node.variables]
        default = step.value
        if len(node.variables) == 1:
            default = node.variables[0][1]
        return [Step(step.layer, step.file, step.line, default), *variable_steps]


@dataclass
class FileProvenance:
    """The layers of all files that one config was merged from, base configs first."""

    layers: list[Layer]

    def steps(self, path: Path) -> list[Step]:
        """Returns the assignments that the files make to the value at `path`, base configs first."""
        return [step for layer in self.layers for step in layer.steps(path)]


@dataclass
class EditProvenance:
    """Record of an assignment by code or by the command line, whose value may be a nested mapping.

    Attributes:
        step: the assignment, with a copy of the assigned value.
        before: returns the earlier assignments to a path below the assigned key; None if there were none.
    """

    step: Step
    before: Callable[[Path], list[Step]] | None = None

    def steps(self, path: Path) -> list[Step]:
        """Returns the assignments to the value at `path`, which is relative to the assigned key, oldest first."""
        earlier = []
        if self.before:
            earlier = self.before(path)
        value, removed = _descend(self.step.value, path)
        if value is MISSING and not removed:
            return earlier
        return [*earlier, Step(self.step.layer, self.step.file, self.step.line, value)]


@dataclass
class FrozenProvenance:
    """The assignments to every value of a config, stored as data, because layers cannot be pickled.

    Attributes:
        chains: the assignments by the path of the value.
    """

    chains: dict[Path, list[Step]]

    def steps(self, path: Path) -> list[Step]:
        """Returns the stored assignments to the value at `path`; those of its nearest recorded parent if it has none."""
        while path and path not in self.chains:
            path = path[:-1]
        return self.chains.get(path, [])


def _descend(data: Any, path: Path) -> tuple[Any, bool]:
    """Finds the value at `path` in the values of one layer, without importing lazy stand-ins.

    Returns the value (MISSING if the layer does not set it), and whether the layer removes an inherited value there,
    by ``_delete_`` or by replacing a mapping on the way.
    """
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
    """Returns a step with file and line of the innermost caller outside of eng.

    Frames of eng are skipped because, for example, the Runner changes a config on behalf of the user's script.
    """
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and _belongs_to_eng(frame):
        frame = frame.f_back
    if frame is None:  # The eng command, or a thread of eng, runs without any code of the user.
        return Step(layer, None, None, value)
    return Step(layer, short_path(frame.f_code.co_filename), frame.f_lineno, value)


def _belongs_to_eng(frame: FrameType) -> bool:
    """Whether a stack frame runs code of eng, or library code that starts eng: runpy, threading or click."""
    name, spec = frame.f_globals.get("__name__", ""), frame.f_globals.get("__spec__")
    # The installed console script is a file called `eng` that runs as `__main__`.
    if name == "__main__" and os.path.split(frame.f_code.co_filename)[1] == "eng":
        return True
    if name == "__main__":
        module = str(getattr(spec, "name", name))
    else:
        module = str(name)
    return module.startswith("eng.") or module.partition(".")[0] in ("runpy", "threading", "click")


def short_path(path: str) -> str:
    """Returns `path` relative to the working directory if it lies below it, else unchanged; used in messages."""
    try:
        folder = os.path.join(os.getcwd(), "")
    except OSError:  # The working directory was deleted.
        return path
    if path.startswith(folder) and ".." not in path:
        return path[len(folder) :]
    return path
