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
    """The class of `MISSING`, which stands for a config value that was removed or was never set."""

    def __repr__(self) -> str:
        return "<removed>"

    def __reduce__(self) -> str:
        # If `__reduce__` returns a string, pickle and copy return the global variable of that name. So there is only
        # one `MISSING` object, and `value is MISSING` works for copied and unpickled values too.
        return "MISSING"


MISSING: Any = Missing()
BASE_FILE, CHILD_FILE, ONLY_FILE = "base file", "child file", "config file"
COMMAND_LINE, ENVIRONMENT, CODE = "command line", "environment variable", "code"
DELETE_KEY = "_delete_"


@dataclass(frozen=True)
class Step:
    """One assignment to one key of a config: who set the key, where, and to which value.

    Attributes:
        layer: who set the key: ``"base file"``, ``"child file"``, ``"config file"`` (a file without base configs),
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
        """File and line such as ``'configs/a.py:12'``; without a file, who set the value, as ``'command line'``."""
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
    """An object whose `steps` returns the assignments to a config value, given the keys from the config's root."""

    def steps(self, path: Path) -> list[Step]: ...


@dataclass
class Lines:
    """A node of a tree like the config itself: the line of the file on which a value is written.

    Attributes:
        line: 1-based line of the value; None if unknown.
        children: the nodes of the nested values, by key or index.
        variables: for each environment variable substituted into the value, its name and the value that the file
            would have set without it.
    """

    line: int | None = None
    children: dict[Any, Lines] = field(default_factory=dict)
    variables: tuple[tuple[str, Any], ...] = ()

    def find(self, path: Path) -> Lines:
        """Returns the node for the value at `path`, with the line on which the value is written.

        If this line is unknown, the node has the line of the nearest mapping or list around the value.
        """
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
        name: kind of file that `Config.explain` shows, such as ``"base file"`` or ``"child file"``.
        file: path of the file as messages show it.
        values: returns the values of the file; these values never change after loading.
        lines: returns the tree of the lines on which the file sets its values. The function computes the tree at its
            first call; only `Config.explain` and error messages call the function.
        names: for a base config from which another config imports names, maps each name in that config to the name in
            `values`; None if all names are used unchanged.
    """

    name: str
    file: str
    values: Callable[[], Mapping[str, Any]]
    lines: Callable[[], Lines]
    names: Mapping[str, str] | None = None

    def with_layer_name(self, name: str) -> Layer:
        """Returns a copy of the layer whose `name` is replaced, such as "base file" by "child file"."""
        return Layer(name, self.file, self.values, self.lines, self.names)

    def renamed(self, names: Mapping[str, str]) -> Layer:
        """Returns a copy that contains only the keys that ``from base import a as b`` imports, under their new names.

        Args:
            names: maps each new name to the old name, such as ``{"b": "a"}``.
        """
        inner = self.names
        if inner is None:
            chosen = names
        else:
            chosen = {new: inner[old] for new, old in names.items() if old in inner}
        return Layer(self.name, self.file, self.values, self.lines, chosen)

    def steps(self, path: Path) -> list[Step]:
        """Returns the assignments that this file makes to the value at `path`; empty if the file does not set it.

        The list contains the assignment of the file, and one more for each environment variable that was substituted.
        If another config imports names of this file (`names`), the first key of `path` is a name in that other config.
        """
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
        """Splits one assignment into that of the default in the file and those of the environment variables.

        An environment variable that is set replaces the default that the file writes in ``{{$NAME:default}}``.
        """
        variable_steps = [Step(ENVIRONMENT, f"${name}", None, step.value) for name, _ in node.variables]
        default = step.value
        if len(node.variables) == 1:
            default = node.variables[0][1]
        return [Step(step.layer, step.file, step.line, default), *variable_steps]


@dataclass
class FileProvenance:
    """The layers (unmerged values of each file) of all files that one config was merged from, base configs first."""

    layers: list[Layer]

    def steps(self, path: Path) -> list[Step]:
        """Returns the assignments that the files make to the value at `path`, base configs first."""
        return [step for layer in self.layers for step in layer.steps(path)]


@dataclass
class EditProvenance:
    """Record of one assignment to a config key by code or by the command line.

    The assigned value may be a nested mapping, so that this assignment also set the values inside the mapping.

    Attributes:
        step: the assignment, with a copy of the assigned value.
        before: returns the earlier assignments to the value at a path below the assigned key; None if there were none.
    """

    step: Step
    before: Callable[[Path], list[Step]] | None = None

    def steps(self, path: Path) -> list[Step]:
        """Returns all assignments to the value at `path`, oldest first; `path` starts below the assigned key."""
        earlier = []
        if self.before:
            earlier = self.before(path)
        value, removed = _descend(self.step.value, path)
        if value is MISSING and not removed:
            return earlier
        return [*earlier, Step(self.step.layer, self.step.file, self.step.line, value)]


@dataclass
class FrozenProvenance:
    """The assignments to every value of a config, as data for a pickle, because `Layer` objects cannot be pickled.

    Attributes:
        chains: maps the path of each value, a tuple of keys, to the assignments to that value, oldest first.
    """

    chains: dict[Path, list[Step]]

    def steps(self, path: Path) -> list[Step]:
        """Returns the stored assignments to the value at `path`.

        If none is stored for `path`, returns those of the nearest enclosing mapping or list that has any.
        """
        while path and path not in self.chains:
            path = path[:-1]
        return self.chains.get(path, [])


def _descend(data: Any, path: Path) -> tuple[Any, bool]:
    """Finds the value at `path` in `data`, the values that one config file or one assignment sets.

    Returns the value (MISSING if `data` does not set it), and whether `data` removes an inherited value at `path`,
    either by ``_delete_`` or by replacing one of the mappings that contain the value. Lazy stand-ins are not imported.
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
    """Returns the record of an assignment, with the file and line of the user's code that made it.

    The user's code is the innermost stack frame outside of eng. Frames of eng are skipped, because for example the
    Runner changes a config on behalf of the user's script.
    """
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and _belongs_to_eng(frame):
        frame = frame.f_back
    if frame is None:  # No frame belongs to the user, as in the eng command or in a thread of eng.
        return Step(layer, None, None, value)
    return Step(layer, short_path(frame.f_code.co_filename), frame.f_lineno, value)


def _belongs_to_eng(frame: FrameType) -> bool:
    """Whether a stack frame runs code of eng, or library code that starts eng: runpy, threading or click."""
    name, spec = frame.f_globals.get("__name__", ""), frame.f_globals.get("__spec__")
    # The command `eng` is an installed script: a file named `eng` whose module name is `__main__`.
    if name == "__main__" and os.path.split(frame.f_code.co_filename)[1] == "eng":
        return True
    if name == "__main__":
        module = str(getattr(spec, "name", name))
    else:
        module = str(name)
    return module.startswith("eng.") or module.partition(".")[0] in ("runpy", "threading", "click")


def short_path(path: str) -> str:
    """Returns `path` for messages: relative to the working directory if `path` lies below it, else unchanged."""
    try:
        folder = os.path.join(os.getcwd(), "")
    except OSError:  # The working directory was deleted, so no path lies below it.
        return path
    if path.startswith(folder) and ".." not in path:
        return path[len(folder) :]
    return path
