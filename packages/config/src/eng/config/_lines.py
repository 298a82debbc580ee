"""Finds the line of a config file on which each value is written; runs only when `Config.explain` needs a line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Any

from ._provenance import Lines
from ._substitute import Substitutions

_MERGING = ("update", "merge")
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def python_lines(tree: ast.Module, table: Substitutions) -> Lines:
    """Returns, as a tree like the config itself, the line on which a Python config sets each value.

    The statements are read in order from the syntax tree and not executed: assignments to names, keys and attributes,
    `update` calls, both branches of conditions, and bodies of loops. A value that the file computes, for example by
    ``a + b``, gets the line of the statement.
    """
    reader = _PythonReader(table)
    reader.run(tree.body)
    return reader.root


class _PythonReader:
    def __init__(self, table: Substitutions) -> None:
        self.root, self.table = Lines(), table

    def run(self, body: Iterable[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        """Records the lines of the values that one statement sets, and those of the statements inside it.

        Definitions of functions and classes are skipped, because their bodies set no values of the config.
        """
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self.assign(target, self.expression(node.value, node.lineno))
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)) and node.value is not None:
            self.assign(node.target, Lines(node.lineno))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self.call(node.value)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if isinstance(node, ast.For):
                self.assign(node.target, Lines(node.lineno))
            for block in ("body", "orelse", "handlers", "finalbody"):
                for inner in getattr(node, block, ()):
                    self.run(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])

    def call(self, node: ast.Call) -> None:
        """Records the lines of a method call on a config value.

        ``model.update(…)`` and ``model.merge(…)`` set the keys in their arguments; any other call, such as
        ``hooks.append(…)``, sets the value as a whole on this line.
        """
        if not isinstance(node.func, ast.Attribute):
            return
        target = self.node_of(node.func.value)
        if node.func.attr in _MERGING:
            for new in [self.mapping(node), *(self.expression(arg, node.lineno) for arg in node.args)]:
                _merge_into(target, new)
        else:
            target.line = node.lineno

    def assign(self, target: ast.expr, lines: Lines) -> None:
        """Records `lines` as the line tree of the value that is assigned to `target`.

        In ``a, b = …`` both names get the line of the statement.
        """
        if isinstance(target, (ast.Tuple, ast.List)):
            for item in target.elts:
                self.assign(item, Lines(target.lineno))
        elif isinstance(target, ast.Name):
            self.root.children[target.id] = lines
        elif isinstance(target, (ast.Attribute, ast.Subscript)):
            self.node_of(target.value).children[_key(target)] = lines

    def node_of(self, node: ast.expr) -> Lines:
        """Returns the node of the line tree for the setting that an expression such as ``model.head`` names.

        A node that does not exist yet is created without a line.
        """
        if isinstance(node, ast.Name):
            return self.root.children.setdefault(node.id, Lines())
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            return self.node_of(node.value).children.setdefault(_key(node), Lines())
        return Lines()

    def expression(self, node: ast.expr, line: int) -> Lines:
        """Returns the line tree of the value that an expression creates; `line` is the line of the value itself.

        Nested dicts and lists have lines of their own. A name or attribute such as ``model.head`` refers to a value
        that was set before; the tree keeps the lines of the items inside that value.
        """
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
            lines = self.mapping(node)
            lines.line = line
            return lines
        if isinstance(node, ast.Dict):
            return Lines(line, self.literal(node))
        if isinstance(node, (ast.List, ast.Tuple)):
            return Lines(line, {i: self.expression(item, item.lineno) for i, item in enumerate(_until_star(node.elts))})
        if isinstance(node, ast.Name) and node.id in self.root.children:
            source = self.root.children[node.id]
            return Lines(line, source.children, source.variables)
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            return Lines(line, self.node_of(node).children)
        return Lines(line, variables=self.variables(node))

    def variables(self, node: ast.expr) -> tuple[tuple[str, Any], ...]:
        marked = getattr(node, "eng_marked", None)
        if not marked and isinstance(node, ast.Name):
            marked = node.id
        if marked and self.table.items:
            return self.table.variables(marked)
        return ()

    def mapping(self, node: ast.Call) -> Lines:
        """Returns the line tree of the arguments of ``dict(…)`` or ``update(…)``, including those of ``**other``."""
        lines = Lines(node.lineno)
        for argument in node.args:
            lines.children.update(self.expression(argument, node.lineno).children)
        for keyword in node.keywords:
            inner = self.expression(keyword.value, keyword.lineno)
            if keyword.arg is None:
                lines.children.update(inner.children)
            else:
                lines.children[keyword.arg] = inner
        return lines

    def literal(self, node: ast.Dict) -> dict[Any, Lines]:
        """Returns the lines of the items of a dict such as ``{"a": 1, **other}`` by key."""
        children: dict[Any, Lines] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                children.update(self.expression(value, value.lineno).children)
            elif isinstance(key, ast.Constant):
                children[key.value] = self.expression(value, key.lineno)
        return children


def _key(node: ast.Attribute | ast.Subscript) -> Any:
    if isinstance(node, ast.Attribute):
        return node.attr
    try:
        return ast.literal_eval(node.slice)
    except ValueError:
        return None


def _until_star(items: list[ast.expr]) -> list[ast.expr]:
    for index, item in enumerate(items):
        if isinstance(item, ast.Starred):
            return items[:index]
    return items


def _merge_into(target: Lines, new: Lines) -> None:
    for key, lines in new.children.items():
        old = target.children.get(key)
        if old is None or not (old.children and lines.children):
            target.children[key] = lines
        else:
            _merge_into(old, lines)


def json_lines(text: str, table: Substitutions) -> Lines:
    """Returns, as a tree like the config itself, the line on which a JSON config sets each value.

    Args:
        text: the config, with a placeholder instead of each ``{{…}}``.
        table: what each placeholder stands for.
    """
    return _JsonReader(text, table).value()


class _JsonReader:
    def __init__(self, text: str, table: Substitutions) -> None:
        self.tokens = [(match[0], match.start()) for match in _JSON_TOKEN.finditer(text)]
        self.text, self.table, self.at = text, table, 0
        self.line, self.seen = 1, 0

    def value(self, line: int | None = None) -> Lines:
        lexeme = self.take()
        if lexeme == "{":
            return self.members(line or self.line)
        if lexeme == "[":
            return self.items(line or self.line)
        return Lines(line or self.line, variables=self.table.variables(lexeme.strip('"')))

    def members(self, line: int) -> Lines:
        """Reads the rest of a JSON object after ``{``; each value gets the line of its key."""
        lines = Lines(line)
        while (lexeme := self.take()) != "}":
            if lexeme != ",":
                key_line = self.line
                self.take()
                lines.children[_unquote(lexeme)] = self.value(key_line)
        return lines

    def items(self, line: int) -> Lines:
        """Reads the rest of a JSON array after ``[``."""
        lines = Lines(line)
        while self.tokens[self.at][0] != "]":
            if self.tokens[self.at][0] == ",":
                self.at += 1
            else:
                lines.children[len(lines.children)] = self.value()
        self.at += 1
        return lines

    def take(self) -> str:
        lexeme, start = self.tokens[self.at]
        self.at += 1
        self.line += self.text.count("\n", self.seen, start)
        self.seen = start
        return lexeme


def _unquote(lexeme: str) -> str:
    import json

    return str(json.loads(lexeme))


def yaml_lines(text: str, table: Substitutions) -> Lines:
    """Returns, as a tree like the config itself, the line on which a YAML config sets each value.

    Args:
        text: the config, with a placeholder instead of each ``{{…}}``.
        table: what each placeholder stands for.
    """
    import yaml

    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None:
        return Lines()
    return _yaml_node(root, root.start_mark.line + 1, table)


def _yaml_node(node: Any, line: int, table: Substitutions) -> Lines:
    """Returns the line tree of a YAML node. A value in a mapping gets the line of its key, a list item its own line."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        pairs = [(_yaml_key(key), key, value) for key, value in node.value]
        return Lines(line, {name: _yaml_node(value, key.start_mark.line + 1, table) for name, key, value in pairs})
    if isinstance(node, yaml.SequenceNode):
        return Lines(line, {i: _yaml_node(v, v.start_mark.line + 1, table) for i, v in enumerate(node.value)})
    return Lines(line, variables=table.variables(node.value))


def _yaml_key(node: Any) -> Any:
    """Returns the key of a YAML mapping as Python reads it: without quotes ``1`` is an int, with quotes a string.

    Returns None for a key that is not a plain value.
    """
    import yaml

    try:
        if node.style is None:
            return yaml.safe_load(node.value)
        return node.value
    except (yaml.YAMLError, TypeError):
        return None
