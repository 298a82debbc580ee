"""Which arguments a class or function takes, also those that it hands on to its bases."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, get_type_hints

_EMPTY = inspect.Parameter.empty
# Their `**kwargs` exist to be refused.
_TAKES_NOTHING = {("torch.nn.modules.module", "Module"), ("builtins", "object")}


@dataclass(frozen=True)
class Parameters:
    """Arguments by keyword.

    Attributes:
        names: every argument that may be given.
        required: those without a default.
        hints: annotations, where they can be resolved.
        takes_any: other names may be given too.
        positional: those that may also be given by position, in their order.
        is_exact: the call is certain to refuse every other name. A decorator or a metaclass may take more.
    """

    names: frozenset[str]
    required: tuple[str, ...] = ()
    hints: Mapping[str, Any] = field(default_factory=dict)
    takes_any: bool = False
    positional: tuple[str, ...] = ()
    is_exact: bool = True


NOTHING_KNOWN = Parameters(frozenset(), takes_any=True, is_exact=False)


@lru_cache(maxsize=4096)
def parameters_of(factory: Callable[..., Any]) -> Parameters:
    """What may be given to `factory`; `NOTHING_KNOWN` where it does not tell."""
    if not isinstance(factory, type):
        return _of_function(factory, skip_first=False)
    if type(factory).__call__ is not type.__call__:
        return NOTHING_KNOWN
    parameters = _of_class(factory, factory.__mro__)
    if _may_give_another(factory):
        return replace(parameters, is_exact=False)
    return parameters


def _may_give_another(cls: type) -> bool:
    """Whether ``__new__`` may give an object of another class, whose ``__init__`` is never called."""
    makers = [
        owner
        for owner in cls.__mro__
        if owner is not object and ("__new__" in vars(owner) or "__init__" in vars(owner))
    ]
    has_both = any("__init__" in vars(owner) for owner in makers)
    return has_both and any("__new__" in vars(owner) for owner in makers if owner.__module__ != "typing")


def _of_class(cls: type, mro: tuple[type, ...]) -> Parameters:
    """The parameters of the first ``__init__`` (or ``__new__``) in `mro`, and of those it hands ``**kwargs`` on to."""
    for index, owner in enumerate(mro):
        if (owner.__module__, owner.__qualname__) in _TAKES_NOTHING:
            return Parameters(frozenset())
        maker = vars(owner).get("__init__") or _new_of(owner)
        if maker is None:
            continue
        parameters = _of_function(maker, skip_first=True)
        if parameters.takes_any:
            return _with_bases(parameters, maker, cls, mro[index + 1 :])
        return parameters
    return NOTHING_KNOWN


def _new_of(owner: type) -> Any:
    new = vars(owner).get("__new__")
    # Generic's __new__ of old Pythons and of Protocol says nothing.
    if owner.__module__ == "typing":
        return None
    return getattr(new, "__func__", new)


def _with_bases(parameters: Parameters, maker: Any, cls: type, bases: tuple[type, ...]) -> Parameters:
    handing_on = _follow_kwargs(maker)
    if handing_on is None:
        return parameters
    if not handing_on.to_super:  # further names are swallowed
        return replace(parameters, names=parameters.names | handing_on.read)
    above = _of_class(cls, bases)
    is_exact = above.is_exact and not hasattr(maker, "__wrapped__")
    inherited = above.names - handing_on.fixed - set(above.positional[: handing_on.num_by_position])
    return Parameters(
        parameters.names | handing_on.read | inherited,
        (*parameters.required, *(name for name in above.required if name in inherited - parameters.names)),
        {**{name: hint for name, hint in above.hints.items() if name in inherited}, **parameters.hints},
        above.takes_any,
        parameters.positional,
        is_exact,
    )


def _of_function(function: Callable[..., Any], *, skip_first: bool) -> Parameters:
    try:
        parameters = list(inspect.signature(function).parameters.values())[1 if skip_first else 0 :]
    except (ValueError, TypeError):  # a builtin that does not tell
        return NOTHING_KNOWN
    named = [
        parameter
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    hints = _hints(function, named)
    required = tuple(parameter.name for parameter in named if parameter.default is _EMPTY)
    positional = tuple(parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD)
    is_exact = not takes_any and not hasattr(function, "__wrapped__")
    return Parameters(
        frozenset(parameter.name for parameter in named), required, hints, takes_any, positional, is_exact
    )


def _hints(function: Callable[..., Any], named: list[inspect.Parameter]) -> dict[str, Any]:
    try:
        resolved = get_type_hints(function)
    except Exception:  # noqa: BLE001  # annotations may name what only a type checker imports
        resolved = {
            parameter.name: parameter.annotation for parameter in named if not isinstance(parameter.annotation, str)
        }
    hints = {
        parameter.name: resolved[parameter.name]
        for parameter in named
        if resolved.get(parameter.name, _EMPTY) is not _EMPTY
    }
    for parameter in named:
        if parameter.default is None and parameter.name in hints:
            if _can_or(hints[parameter.name]):
                hints[parameter.name] = hints[parameter.name] | None
            else:
                hints[parameter.name] = Any
    return hints


def _can_or(hint: Any) -> bool:
    try:
        hint | None
    except TypeError:
        return False
    return True


@dataclass(frozen=True)
class _HandingOn:
    """What an ``__init__`` does with its ``**kwargs``: names it reads itself, and arguments it gives to super() itself."""

    to_super: bool
    read: frozenset[str]
    fixed: frozenset[str]
    num_by_position: int


def _follow_kwargs(maker: Any) -> _HandingOn | None:
    """What happens to ``**kwargs``; None where the source does not tell."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(maker))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None
    if not isinstance(tree, ast.FunctionDef) or tree.args.kwarg is None:
        return None
    name = tree.args.kwarg.arg
    uses = sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _spreads(node, name)]
    read = [key for node in ast.walk(tree) if (key := _key_read(node, name)) is not None]
    owner = maker.__qualname__.rpartition(".")[0].rpartition(".")[2]
    to_super = [call for call in calls if _is_super_init(call, owner)]
    if uses != len(to_super) + len(read) or len(to_super) > 1:
        return None
    fixed = {keyword.arg for call in to_super for keyword in call.keywords if keyword.arg}
    by_position = [argument for call in to_super for argument in call.args if not isinstance(argument, ast.Starred)]
    return _HandingOn(bool(to_super), frozenset(read), frozenset(fixed), len(by_position))


def _spreads(call: ast.Call, name: str) -> bool:
    return any(
        keyword.arg is None and isinstance(keyword.value, ast.Name) and keyword.value.id == name
        for keyword in call.keywords
    )


def _is_super_init(call: ast.Call, owner: str) -> bool:
    function = call.func
    if not (isinstance(function, ast.Attribute) and function.attr == "__init__"):
        return False
    holder = function.value
    is_super = isinstance(holder, ast.Call) and isinstance(holder.func, ast.Name) and holder.func.id == "super"
    return is_super and _starts_at(holder, owner)


def _starts_at(call: ast.expr, owner: str) -> bool:
    """Whether ``super()`` begins behind the class that is called `owner`; ``super(Parent, self)`` leaves classes out."""
    arguments = []
    if isinstance(call, ast.Call):
        arguments = call.args
    return not arguments or (isinstance(arguments[0], ast.Name) and arguments[0].id == owner)


def _key_read(node: ast.AST, name: str) -> str | None:
    """``x`` of ``kwargs.pop("x")``, ``kwargs.get("x")``, ``kwargs.setdefault("x")``, ``kwargs["x"]``, ``"x" in kwargs``."""
    key: ast.expr | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        is_read = node.func.attr in ("pop", "get", "setdefault") and _is_name(node.func.value, name)
        key = None
        if is_read:
            key = node.args[0]
    elif isinstance(node, ast.Subscript) and _is_name(node.value, name):
        key = node.slice
    elif isinstance(node, ast.Compare) and len(node.comparators) == 1 and _is_name(node.comparators[0], name):
        key = node.left
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        return key.value
    return None


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
