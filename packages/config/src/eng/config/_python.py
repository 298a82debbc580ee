# ruff: noqa: N815  # method names are those of the syntax tree's visitors
"""Compiles and runs a Python config, whose ``{{…}}`` substitutions were replaced by marks before."""

from __future__ import annotations

import ast
import re
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeGuard

from ._blame import blaming
from ._data import syntax_error
from ._namespace import BASE_KEY, READ_BASE, AskingNamespace, Bases, Namespace, UndefinedMarkError
from ._safe import SafeInterpreter
from ._source import Source
from ._substitute import MARK_START, MARKED, Substitutions
from .errors import ConfigFileError, MixedStyleError
from .lazy import hold_lazy

_CONSTANTS = (str, int, float, complex, bool, bytes, type(None))


@dataclass
class PythonConfig:
    """A Python config that was read but has not run yet.

    Attributes:
        source: path and original text of the file.
        text: the text with every ``{{…}}`` replaced by a placeholder.
        table: what each placeholder stands for.
    """

    source: Source
    text: str
    table: Substitutions

    @property
    def reads_base(self) -> bool:
        """Whether the file may read values of `_base_`, and does not only assign file names to it."""
        return self.text.count(BASE_KEY) > 1

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree of the file, with the placeholders of ``{{…}}`` replaced by their values.

        The placeholder of a ``{{_base_.key}}`` becomes a name instead, because base configs are not loaded yet.
        """
        tree: ast.Module = _compiled(self.source, self.text, ast.PyCF_ONLY_AST)
        if self.table.items:
            tree = ast.fix_missing_locations(_MarkResolver(self.table).visit(tree))
        return tree

    @cached_property
    def code(self) -> types.CodeType:
        """The compiled code of the file.

        A file without ``{{…}}`` is compiled directly from its text, which is twice as fast as via a syntax tree.
        """
        if not self.table.items:
            return _code_of(self.source, self.text)
        code: types.CodeType = _compiled(self.source, self.tree)
        return code

    def style(self) -> bool | None:
        """Returns True if the file inherits by `read_base`, False if by `_base_`, None if it does not inherit.

        Raises:
            MixedStyleError: the file inherits by both `read_base` and `_base_`.
        """
        names = self.code.co_names
        if BASE_KEY in names and READ_BASE in names:
            return self._style_of_tree()
        if READ_BASE in names:
            return True
        if BASE_KEY in names:
            return False
        return None

    def _style_of_tree(self) -> bool:
        """Whether the file contains ``with read_base():``; raises MixedStyleError if it also assigns `_base_`."""
        reading = [node for node in ast.walk(self.tree) if _is_read_base(node)]
        if reading and any(True for _ in self._assigned_bases()):
            raise MixedStyleError(
                "this file uses both `_base_ = …` and `with read_base():`; keep one, such as "
                "`with read_base(): from .base import *` in place of `_base_`",
                self.source.name,
                reading[0].lineno,
            )
        return bool(reading)

    def _assigned_bases(self) -> Iterator[ast.expr | None]:
        for node in ast.walk(self.tree):
            targets: list[ast.expr | None] = [getattr(node, "target", None)]
            if isinstance(node, ast.Assign):
                targets = [*node.targets]
            if any(isinstance(item, ast.Name) and item.id == BASE_KEY for item in targets):
                yield getattr(node, "value", None)

    def written_base(self) -> Any:
        """Returns the literal of the last assignment to `_base_` in the file; None if there is no such literal."""
        values = [node for node in self._assigned_bases() if node is not None]
        try:
            if values:
                return ast.literal_eval(values[-1])
            return None
        except ValueError:
            return None


def _is_read_base(node: ast.AST) -> TypeGuard[ast.With]:
    return isinstance(node, ast.With) and any(
        isinstance(item.context_expr, ast.Call)
        and (getattr(item.context_expr.func, "id", None) or getattr(item.context_expr.func, "attr", None)) == READ_BASE
        for item in node.items
    )


@lru_cache(maxsize=256)
def _cached_code(text: str, path: str) -> types.CodeType:
    code: types.CodeType = compile(text, path, "exec", dont_inherit=True)
    return code


def _code_of(source: Source, text: str) -> types.CodeType:
    """Returns the compiled code of a config file, from a cache if the same text was compiled before.

    Compiling takes most of the loading time, and many configs of a library inherit from the same base configs.
    """
    with _syntax_errors(source):
        return _cached_code(text, source.path)


def _compiled(source: Source, code: Any, flags: int = 0) -> Any:
    with _syntax_errors(source):
        return compile(code, source.path, "exec", flags, dont_inherit=True)


@contextmanager
def _syntax_errors(source: Source) -> Iterator[None]:
    """Replaces errors of Python's parser by errors that name the config file and show the line."""
    try:
        yield
    except SyntaxError as error:
        raise syntax_error(source, error.msg, error.lineno or 1, error.offset or 1) from error
    except (RecursionError, MemoryError) as error:
        raise ConfigFileError("nested too deeply", source.name) from error
    except ValueError as error:  # Before Python 3.12, `compile` raises ValueError for a null byte.
        raise syntax_error(source, str(error), 1, 1) from error


class _MarkResolver(ast.NodeTransformer):
    """Replaces the placeholders of ``{{…}}`` in a syntax tree by their values.

    The placeholder of a ``{{_base_.key}}`` becomes a name, whose value is looked up when the file runs.
    """

    def __init__(self, table: Substitutions) -> None:
        self.table = table

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Replaces a name that is a placeholder by the value of its ``{{…}}``.

        The placeholder of a ``{{_base_.key}}`` remains a name. An assignment to a placeholder is an error.
        """
        number = self.table.number(node.id)
        if number is None:
            return node
        if not isinstance(node.ctx, ast.Load):
            raise self._cannot_assign(node)
        item = self.table.items[number]
        if item.base is not None:
            return node
        constant = ast.copy_location(ast.Constant(item.value), node)
        constant.eng_marked = node.id  # type: ignore[attr-defined]  # `_lines.py` reads `eng_marked` to find environment variables.
        if isinstance(item.value, _CONSTANTS):
            return constant
        return self._expression(node, item.value)

    def _expression(self, node: ast.expr, value: Any) -> ast.expr:
        """Returns the syntax tree of a list, tuple or dict that was parsed from an environment variable."""
        tree = ast.parse(repr(value), mode="eval").body
        for part in ast.walk(tree):
            ast.copy_location(part, node)
        return tree

    def _visit_owner(self, node: ast.Attribute | ast.Subscript) -> ast.AST:
        """Raises an error for an assignment into a placeholder, such as ``{{_base_.model}}.depth = 50``."""
        owner = _owner(node)
        if (
            not isinstance(node.ctx, ast.Load)
            and isinstance(owner, ast.Name)
            and self.table.number(owner.id) is not None
        ):
            raise self._cannot_assign(node)
        return self.generic_visit(node)

    visit_Attribute = visit_Subscript = _visit_owner

    def _cannot_assign(self, node: ast.expr) -> ConfigFileError:
        message = "{{…}} is a copy, an assignment into it is lost; write `_base_.key = …` to change what is inherited"
        return ConfigFileError(message, self.table.file, node.lineno)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Replaces the placeholders in a string.

        A string that is exactly the placeholder of a ``{{_base_.key}}`` becomes a name; a longer string with such a
        placeholder becomes an f-string; other placeholders are replaced by their text.
        """
        if not isinstance(node.value, str) or MARK_START not in node.value:
            return node
        number = self.table.number(node.value)
        if number is not None and self.table.items[number].base is not None:
            return ast.copy_location(ast.Name(node.value, ast.Load()), node)
        parts = self._parts(node)
        if len(parts) == 1 and isinstance(parts[0], ast.Constant):
            return parts[0]
        joined = ast.copy_location(ast.JoinedStr(parts), node)
        joined.eng_marked = node.value  # type: ignore[attr-defined]  # `_lines.py` reads `eng_marked` to find environment variables.
        return joined

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        node.values = [part for value in node.values for part in self._joined(value)]
        return node

    def _joined(self, value: ast.expr) -> list[ast.expr]:
        if isinstance(value, ast.Constant):
            return self._parts(value)
        return [self.visit(value)]

    def _parts(self, node: ast.Constant) -> list[ast.expr]:
        """Splits a string that contains placeholders of ``{{…}}`` into the parts of an f-string.

        The placeholder of a ``{{_base_.key}}`` becomes a name that is looked up when the file runs. Other placeholders
        become text.
        """
        marked = str(node.value)
        parts: list[ast.expr] = []
        text = ""
        for piece in re.split(f"({MARKED.pattern.replace('(', '(?:', 1)})", marked):
            number = self.table.number(piece)
            if number is None or self.table.items[number].base is None:
                text += piece if number is None else self.table.items[number].text
            else:
                parts += [ast.Constant(text), ast.FormattedValue(ast.Name(piece, ast.Load()), -1)]
                text = ""
        parts.append(ast.Constant(text))
        for part in parts:
            ast.copy_location(part, node)
        parts[-1].eng_marked = marked  # type: ignore[attr-defined]  # `_lines.py` reads `eng_marked` to find environment variables.
        return parts


def _warn_of_copies(config: PythonConfig) -> None:
    """Warns if a config sets ``a = {{_base_.m}}`` and later ``a.k = 1``.

    `a` is a copy of the inherited value `m`, so the assignment does not change `m`. MMEngine raises an error for it.
    """
    copies: dict[str, str] = {}
    for node in config.tree.body:
        targets = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        for target in targets:
            owner = _owner(target)
            if owner is not target and isinstance(owner, ast.Name) and owner.id in copies:
                where = f"{config.source.name}:{node.lineno}"
                base = copies.pop(owner.id)
                warnings.warn(
                    f"{where}: `{owner.id}` is a copy of {{{{{base}}}}}; the inherited value stays as it is; "
                    f"to change both, write `{owner.id} = {base}`",
                    UserWarning,
                    stacklevel=2,
                )
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and isinstance(targets[0], ast.Name):
            number = config.table.number(node.value.id)
            if number is not None:
                copies[targets[0].id] = f"{BASE_KEY}.{config.table.items[number].base}"


def _owner(node: ast.expr) -> ast.expr:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node


def run_python(config: PythonConfig, bases: Bases, *, trust: bool, lazy: bool | None) -> Namespace:
    """Runs a Python config and returns its global names.

    Args:
        config: the config file.
        bases: loads the base configs that the file inherits from.
        trust: whether to execute the file; False interprets the file and refuses everything except data.
        lazy: True if the file inherits by `read_base` and imports libraries lazily, False if it inherits by
            `_base_`; None detects the style from the file.

    Raises:
        ConfigSyntaxError: the file is not valid Python; the message shows file, line and a caret.
        UnsafeConfigError: with ``trust=False``, a line would execute code.
        Exception: any exception that the code of the config raises; its attribute ``config_place`` is set to file and
            line, such as ``"file.py:12"``.
    """
    style = config.style()
    if config.table.items:
        _warn_of_copies(config)
    needs_lookup = config.reads_base or bool(config.table.items)
    namespace_class = AskingNamespace if needs_lookup else Namespace
    if lazy is None:
        lazy = style
    namespace = namespace_class(config.source, bases, trust=trust, lazy=lazy)
    with hold_lazy(), blaming(config.source):
        try:
            if trust:
                exec(config.code, namespace)  # noqa: S102  # a Python config is executed like any program
            else:
                SafeInterpreter(namespace, config.source.name, namespace.imports).run(config.tree.body)
        except UndefinedMarkError as error:
            raise error.error from None
    return namespace
