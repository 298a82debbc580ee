# ruff: noqa: N802  # method names are those of the syntax tree's visitors
"""Reads a Python config without executing it: an interpreter that only evaluates expressions of data."""

from __future__ import annotations

import ast
import operator
import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._namespace import READ_BASE, Imports
from ._weight import MAX_WEIGHT, weight
from .errors import UnsafeConfigError
from .lazy import is_lazy

MAX_WORK = 2 * MAX_WEIGHT
MAX_BITS = 14_000  # Size limit of integers. Python cannot print more than 4300 digits, which are about 14,000 bits.
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.LShift: operator.lshift,
    ast.RShift: operator.rshift, ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Not: operator.not_, ast.Invert: operator.invert,
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda left, right: left in right, ast.NotIn: lambda left, right: left not in right,
}  # fmt: skip
_CALLS: dict[str, Callable[..., Any]] = {
    "dict": dict, "list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "int": int, "float": float,
    "bool": bool, "str": str, "len": len, "min": min, "max": max, "abs": abs, "round": round,
}  # fmt: skip
_CONVERSIONS: dict[int, Callable[[Any], Any]] = {-1: lambda value: value, 115: str, 114: repr, 97: ascii}
_CONTAINERS = {"dict", "list", "tuple", "set", "frozenset"}
_DATA = (str, int, float, complex, bytes, bool, list, tuple, dict, set, frozenset, type(None))
# These expressions return a value that exists already, so the interpreter does not count the value's size again.
_NAMING = (ast.Constant, ast.Name, ast.Attribute, ast.Subscript)
_WIDE = re.compile(r"\d{5,}|\*")


class SafeInterpreter:
    """Interprets the statements of a config that only create data: assignments, `dict.update` and lazy imports.

    Args:
        namespace: the global names that the statements read and write.
        file: path of the config, for messages.
        imports: carries out the import statements.
    """

    def __init__(self, namespace: dict[str, Any], file: str, imports: Imports) -> None:
        self.names, self.file, self.imports = namespace, file, imports
        self._work = 0

    def run(self, body: Sequence[ast.stmt]) -> None:
        """Interprets the statements in order.

        Raises:
            UnsafeConfigError: a statement does more than create data; the first such statement stops the interpreter.
        """
        for node in body:
            self._statement(node)
        if body:
            self._bounded(body[-1], {name: value for name, value in self.names.items() if not name.startswith("__")})

    def _statement(self, node: ast.stmt) -> None:
        """Interprets one statement; raises UnsafeConfigError for a statement that does more than create data."""
        if isinstance(node, ast.Assign):
            value = self.value(node.value)
            for target in node.targets:
                self._assign(target, value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(node.target, self.value(node.value))
        elif isinstance(node, ast.AugAssign):
            left = self.value(_as_load(node.target))
            self._assign(node.target, self._bounded(node, self._binary(node, node.op, left, self.value(node.value))))
        elif isinstance(node, ast.Expr):
            self._expression_statement(node.value)
        elif isinstance(node, ast.If):
            self.run(node.body if self.value(node.test) else node.orelse)
        elif isinstance(node, ast.ImportFrom):
            self._import_names(node)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                self._import_module(node, alias)
        elif isinstance(node, ast.With):
            self._read_base(node)
        elif not isinstance(node, ast.Pass):
            raise self._refuse(node, f"{_node_name(node)} statement")

    def _import_names(self, node: ast.ImportFrom) -> None:
        names = tuple(alias.name for alias in node.names)
        giver = self.imports.statement(node.module or "", names, node.level, node.lineno)
        for alias in node.names:
            if alias.name != "*":
                self.names[alias.asname or alias.name] = getattr(giver, alias.name)

    def _import_module(self, node: ast.Import, alias: ast.alias) -> None:
        module = self.imports.statement(alias.name, (), 0, node.lineno)
        if alias.asname:
            for part in alias.name.split(".")[1:]:
                module = getattr(module, part)
        self.names[alias.asname or alias.name.partition(".")[0]] = module

    def _read_base(self, node: ast.With) -> None:
        """Interprets ``with read_base():``; its imports load base configs. Any other ``with`` statement is refused."""
        for item in node.items:
            call = item.context_expr
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)) or (
                self.names.get(call.func.id, self._builtin(call.func.id)) != self.imports.read_base
            ):
                raise self._refuse(node, "a with statement other than `with read_base():`")
        with self.imports.read_base():
            self.run(node.body)

    def _builtin(self, name: str) -> Any:
        if name == READ_BASE:
            return self.imports.read_base
        return None

    def _expression_statement(self, node: ast.expr) -> None:
        """Interprets an expression that is a statement, such as ``hooks.append(…)``.

        A value that the call has made too large raises UnsafeConfigError.
        """
        if isinstance(node, ast.Call) and _is_globals_update(node):
            self.names.update(self.value(node.args[0]))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            self._method(node, node.func, allowed={"update", "merge", "append", "extend", "insert", "pop"})
            self._bounded(node, self.value(node.func.value))
        else:
            self.value(node)

    def _assign(self, target: ast.expr, value: Any) -> None:
        """Assigns a value to a name, to several names, to an item ``a["b"]``, or to an attribute ``a.b``."""
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            for item, part in zip(target.elts, self._unpacked(target, value), strict=True):
                self._assign(item, part)
        elif isinstance(target, ast.Subscript):
            owner = self._data(target.value)
            owner[self.value(target.slice)] = value
            self._bounded(target, owner)
        elif isinstance(target, ast.Attribute) and not target.attr.startswith("_"):
            owner = self._mapping(target)
            owner[target.attr] = value
            self._bounded(target, owner)
        else:
            raise self._refuse(target, "this assignment")

    def _unpacked(self, target: ast.Tuple | ast.List, value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != len(target.elts):
            raise self._refuse(target, f"unpacking {value!r} into {len(target.elts)} names")
        return value

    def value(self, node: ast.expr) -> Any:
        """Evaluates one expression of the syntax tree and returns its value.

        Raises:
            UnsafeConfigError: the expression does more than create data, fails, or creates too large a value.
        """
        method = getattr(self, f"_eval_{type(node).__name__}", None)
        if method is None:
            raise self._refuse(node, _node_name(node))
        try:
            value = method(node)
            if isinstance(node, _NAMING):
                return value
            return self._bounded(node, value)
        except UnsafeConfigError:
            raise
        except (TypeError, ValueError, KeyError, IndexError, ArithmeticError) as error:
            raise self._refuse(node, f"this expression ({error})", reason=False) from error

    def _bounded(self, node: ast.AST, value: Any) -> Any:
        """Returns `value`; raises UnsafeConfigError if it is too large, or all values of the file together are."""
        size = weight(value)
        self._limit(node, size)
        self._spend(node, size)
        return value

    def _spend(self, node: ast.AST, work: int) -> None:
        """Adds `work`, the size of the values that `node` creates, copies or compares, to the total of the file.

        A total above `MAX_WORK` raises UnsafeConfigError. Without this limit, a config of a few lines could keep the
        machine busy for hours.
        """
        self._work += work + 1
        if self._work > MAX_WORK:
            raise self._refuse(node, "so much computation")

    def _limit(self, node: ast.AST, size: int) -> None:
        if size > MAX_WEIGHT:
            raise self._refuse(node, "so large a result")

    def _eval_Constant(self, node: ast.Constant) -> Any:
        return node.value

    def _eval_Name(self, node: ast.Name) -> Any:
        if not node.id.startswith("__"):
            try:
                return self.names[node.id]
            except KeyError:
                pass
        raise self._refuse(node, f"the name {node.id!r}, which the file does not define")

    def _eval_List(self, node: ast.List) -> Any:
        return self._items(node.elts)

    def _eval_Tuple(self, node: ast.Tuple) -> Any:
        return tuple(self._items(node.elts))

    def _eval_Set(self, node: ast.Set) -> Any:
        return set(self._items(node.elts))

    def _items(self, nodes: list[ast.expr]) -> list[Any]:
        """Evaluates the items of a list, tuple or set, or the positional arguments of a call; unpacks ``*items``."""
        items: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                items.extend(self._data(node.value))
            else:
                items.append(self.value(node))
            self._limit(node, len(items))
        return items

    def _eval_Dict(self, node: ast.Dict) -> Any:
        """Evaluates a dict such as ``{"a": 1, **other}``."""
        items: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                items.update(self._data(value))
            else:
                items[self.value(key)] = self.value(value)
        return items

    def _eval_JoinedStr(self, node: ast.JoinedStr) -> str:
        """Evaluates an f-string; refuses it as soon as the text is too long, so that it cannot fill the memory."""
        parts: list[str] = []
        length = 0
        for part in node.values:
            parts.append(str(self.value(part)))
            length += len(parts[-1])
            self._limit(node, length)
        return "".join(parts)

    def _eval_FormattedValue(self, node: ast.FormattedValue) -> str:
        value = self._data(node.value)
        value = _CONVERSIONS[node.conversion](value)
        return format(value, self._format_spec(node, self.value(node.format_spec) if node.format_spec else ""))

    def _format_spec(self, node: ast.AST, spec: str) -> str:
        if _WIDE.search(spec):
            raise self._refuse(node, f"the width in format {spec!r}")
        return spec

    def _eval_BinOp(self, node: ast.BinOp) -> Any:
        return self._binary(node, node.op, self.value(node.left), self.value(node.right))

    def _binary(self, node: ast.AST, op: ast.operator, left: Any, right: Any) -> Any:
        """Computes ``left op right`` for plain data, after checking that the result cannot become too large.

        For ``template % values``, the template must not contain large widths such as ``%99999d``.
        """
        self._spend(node, weight((left, right)))
        if type(op) not in _BINARY or not (isinstance(left, _DATA) and isinstance(right, _DATA)):
            raise self._refuse(
                node, f"operator {type(op).__name__} on {type(left).__name__} and {type(right).__name__}"
            )
        if _size(op, left, right) > 1:
            raise self._refuse(node, "so large a result")
        if isinstance(op, ast.Mod) and isinstance(left, (str, bytes)):
            if isinstance(left, str):
                template = left
            else:
                template = left.decode("latin-1")
            self._format_spec(node, template)
            self._limit(node, template.count("%") * weight((right,)))
        return _BINARY[type(op)](left, right)

    def _eval_UnaryOp(self, node: ast.UnaryOp) -> Any:
        return _UNARY[type(node.op)](self._data(node.operand))

    def _eval_BoolOp(self, node: ast.BoolOp) -> Any:
        """Evaluates ``a and b`` or ``a or b``; as in Python, the rest is not evaluated once the result is known."""
        stop_at = isinstance(node.op, ast.Or)
        value: Any = None
        for part in node.values:
            value = self.value(part)
            if bool(value) is stop_at:
                break
        return value

    def _eval_Compare(self, node: ast.Compare) -> bool:
        """Evaluates a comparison, which may be chained as in ``0 < x < 1``."""
        left = self.value(node.left)
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.value(comparator)
            self._spend(node, weight((left, right)))
            if not _COMPARE[type(op)](left, right):
                return False
            left = right
        return True

    def _eval_IfExp(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def _eval_Subscript(self, node: ast.Subscript) -> Any:
        value = self._data(node.value)[self.value(node.slice)]
        if isinstance(node.slice, ast.Slice):
            return self._bounded(node, value)
        return value

    def _eval_Slice(self, node: ast.Slice) -> slice:
        return slice(*(None if part is None else self.value(part) for part in (node.lower, node.upper, node.step)))

    def _eval_Attribute(self, node: ast.Attribute) -> Any:
        if node.attr.startswith("_"):
            raise self._refuse(node, f"the attribute {node.attr!r}")
        owner = self.value(node.value)
        if is_lazy(owner):
            return getattr(owner, node.attr)
        return self._mapping(node)[node.attr]

    def _eval_Call(self, node: ast.Call) -> Any:
        """Evaluates the call of a builtin function that only creates data, or of a harmless method of such data."""
        if isinstance(node.func, ast.Attribute):
            return self._method(node, node.func, allowed={"format", "join", "copy", "get", "lower", "upper", "strip",
                                                          "split", "replace", "keys", "values", "items"})  # fmt: skip
        if not isinstance(node.func, ast.Name) or node.func.id not in _CALLS or node.func.id in self.names:
            raise self._refuse(node, f"the call of {ast.unparse(node.func)!r}")
        arguments, keywords = self._arguments(node)
        self._spend(node, weight((arguments, keywords)))
        if node.func.id not in _CONTAINERS and not all(isinstance(item, _DATA) for item in arguments):
            raise self._refuse(node, f"{node.func.id}() of something that is not data")
        return _CALLS[node.func.id](*arguments, **keywords)

    def _arguments(self, node: ast.Call) -> tuple[list[Any], dict[str, Any]]:
        """Evaluates the arguments of a call; returns the positional arguments and the keyword arguments."""
        keywords: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                keywords.update(self._data(keyword.value))
            else:
                keywords[keyword.arg] = self.value(keyword.value)
        return self._items(node.args), keywords

    def _method(self, node: ast.Call, func: ast.Attribute, allowed: set[str]) -> Any:
        """Calls a method of a string, dict or list, whose name must be in `allowed` and whose result must be small."""
        owner = self.value(func.value)
        if func.attr not in allowed or not isinstance(owner, (str, dict, list)):
            raise self._refuse(node, f"the call of {ast.unparse(func)!r}")
        arguments, keywords = self._arguments(node)
        self._spend(node, weight((owner, arguments, keywords)))
        if func.attr == "format":
            self._check_format(node, str(owner), weight((arguments, keywords)))
        if func.attr == "join":
            self._limit(node, len(owner) * len(arguments[0]))
        if func.attr == "replace" and isinstance(owner, str):
            self._limit(node, owner.count(arguments[0]) * len(arguments[1]))
        return getattr(owner, func.attr)(*arguments, **keywords)

    def _check_format(self, node: ast.Call, text: str, size: int) -> None:
        """Checks the template of ``str.format``: its fields must not read attributes or items of the arguments.

        Large widths are refused, too, and so are many fields with large arguments, because the result would be large.
        `size` is the size of all arguments.
        """
        fields = [(name, spec) for _, name, spec, _ in string.Formatter().parse(text) if name is not None]
        self._limit(node, len(fields) * size)
        for name, spec in fields:
            if name and ("." in name or "[" in name):
                raise self._refuse(node, f"the field {name!r} of a format string")
            self._format_spec(node, (spec or "").replace("{", "*"))

    def _mapping(self, node: ast.Attribute) -> Any:
        """Evaluates the owner of an attribute such as ``a.b``, which must be a mapping."""
        owner = self.value(node.value)
        if not isinstance(owner, Mapping):
            raise self._refuse(node, f"the attribute {node.attr!r} of a {type(owner).__name__}")
        return owner

    def _data(self, node: ast.expr) -> Any:
        """Evaluates an expression whose value must be plain data."""
        value = self.value(node)
        if not isinstance(value, _DATA):
            raise self._refuse(node, f"this use of a {type(value).__name__}")
        return value

    def _refuse(self, node: ast.AST, construct: str, *, reason: bool = True) -> UnsafeConfigError:
        """Returns the error for a part of the file that is refused.

        Args:
            node: the part of the syntax tree, which names the line.
            construct: what is refused, in words.
            reason: if True, the message says that ``trust=False`` reads data only; if False, that the value of the
                expression cannot be computed.
        """
        tail = " cannot be computed"
        if reason:
            tail = " is not allowed with trust=False, which reads data only"
        return UnsafeConfigError(construct + tail, self.file, getattr(node, "lineno", None))


def _size(op: ast.operator, left: Any, right: Any) -> float:
    """Estimates how large the result of an operator such as ``*`` or ``**`` becomes, before it is computed.

    Returns a fraction of the largest allowed size, so that above 1 the result is too large; 0 for other operators.
    """
    if isinstance(op, ast.Mult):
        for many, count in ((left, right), (right, left)):
            if isinstance(many, (str, bytes, list, tuple)) and isinstance(count, int):
                return len(many) * count / MAX_WEIGHT
    if isinstance(left, int) and isinstance(right, int):
        if isinstance(op, ast.Pow):
            return left.bit_length() * abs(right) / MAX_BITS
        if isinstance(op, ast.LShift):
            return (left.bit_length() + right) / MAX_BITS
        if isinstance(op, ast.Mult):
            return (left.bit_length() + right.bit_length()) / MAX_BITS
    return 0


def _is_globals_update(node: ast.Call) -> bool:
    """Whether a call is ``globals().update({…})``.

    `Config.dump` writes this call for top-level keys that cannot be Python names.
    """
    func = node.func
    return (
        isinstance(func, ast.Attribute)
        and func.attr == "update"
        and isinstance(func.value, ast.Call)
        and isinstance(func.value.func, ast.Name)
        and func.value.func.id == "globals"
        and len(node.args) == 1
    )


def _as_load(node: ast.expr) -> ast.expr:
    import copy

    node = copy.copy(node)
    node.ctx = ast.Load()  # type: ignore[attr-defined]  # every target of an assignment has the attribute `ctx`
    return node


def _node_name(node: ast.AST) -> str:
    """Returns the type of a syntax node in words for messages, such as ``"a function def"``."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__).lower()
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
