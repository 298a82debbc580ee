"""Finds the arguments that a class or function accepts, including those it passes on to base classes by `**kwargs`."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, get_type_hints

_EMPTY = inspect.Parameter.empty
# The constructors of these classes declare `*args` or `**kwargs`, but reject every argument that is passed.
_TAKES_NOTHING = {("torch.nn.modules.module", "Module"), ("builtins", "object")}


@dataclass(frozen=True)
class Parameters:
    """The keyword arguments that a class or function accepts.

    Attributes:
        names: the names of all known arguments.
        required: names of the arguments without a default.
        hints: type annotations by argument, as far as they can be resolved.
        takes_any: whether arguments of other names are accepted too, by ``**kwargs``.
        positional: names of the arguments that can also be passed by position, in order.
        is_exact: whether the call certainly rejects every name that `names` lacks. False for example for a decorated
            function, whose decorator may accept more arguments.
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
    """Returns the arguments that a class or function accepts; `NOTHING_KNOWN` if its signature cannot be read."""
    if not isinstance(factory, type):
        return _parameters_of_function(factory, skip_first=False)
    if type(factory).__call__ is not type.__call__:  # A metaclass with `__call__` may accept any argument.
        return NOTHING_KNOWN
    parameters = _parameters_of_class(factory, factory.__mro__)
    if _may_return_other_class(factory):
        return replace(parameters, is_exact=False)
    return parameters


def _may_return_other_class(cls: type) -> bool:
    """Whether the ``__new__`` of a class may return an object of another class, so that ``__init__`` is not called."""
    bases = [owner for owner in cls.__mro__ if owner is not object]
    has_init = any("__init__" in vars(owner) for owner in bases)
    has_new = any("__new__" in vars(owner) for owner in bases if owner.__module__ != "typing")
    return has_init and has_new


def _parameters_of_class(cls: type, mro: tuple[type, ...]) -> Parameters:
    """Returns the arguments that the first constructor (``__init__`` or ``__new__``) of the classes in `mro` accepts.

    If that constructor passes ``**kwargs`` on to the constructors of base classes, their arguments are included.
    """
    for index, owner in enumerate(mro):
        if (owner.__module__, owner.__qualname__) in _TAKES_NOTHING:
            return Parameters(frozenset())
        constructor = vars(owner).get("__init__") or _new_of(owner)
        if constructor is None:
            continue
        parameters = _parameters_of_function(constructor, skip_first=True)
        if parameters.takes_any:
            return _add_parameters_of_bases(parameters, constructor, cls, mro[index + 1 :])
        return parameters
    return NOTHING_KNOWN


def _new_of(owner: type) -> Any:
    new = vars(owner).get("__new__")
    # `__new__` of typing.Generic and typing.Protocol accepts any arguments and says nothing about the class, so it is
    # ignored.
    if owner.__module__ == "typing":
        return None
    return getattr(new, "__func__", new)


def _add_parameters_of_bases(
    parameters: Parameters, constructor: Any, cls: type, bases: tuple[type, ...]
) -> Parameters:
    """Adds the arguments that a constructor accepts by ``**kwargs`` and passes on to the constructors of `bases`."""
    kwargs_use = _follow_kwargs(constructor)
    if kwargs_use is None:
        return parameters
    if not kwargs_use.to_super:  # Arguments in `**kwargs` that the constructor does not read are ignored.
        return replace(parameters, names=parameters.names | kwargs_use.read)
    of_base = _parameters_of_class(cls, bases)
    # The caller cannot set arguments of the base class that the constructor itself passes to `super().__init__`.
    inherited = of_base.names - kwargs_use.fixed - set(of_base.positional[: kwargs_use.num_by_position])
    inherited_required = (name for name in of_base.required if name in inherited - parameters.names)
    inherited_hints = {name: hint for name, hint in of_base.hints.items() if name in inherited}
    return Parameters(
        names=parameters.names | kwargs_use.read | inherited,
        required=(*parameters.required, *inherited_required),
        hints={**inherited_hints, **parameters.hints},
        takes_any=of_base.takes_any,
        positional=parameters.positional,
        is_exact=of_base.is_exact and not hasattr(constructor, "__wrapped__"),
    )


def _parameters_of_function(function: Callable[..., Any], *, skip_first: bool) -> Parameters:
    """Returns the arguments that a function accepts; `skip_first` leaves out the first argument, such as ``self``."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[1 if skip_first else 0 :]
    except (ValueError, TypeError):  # Some functions written in C have no signature.
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
    """Returns the type annotations of the arguments `named`; those that cannot be resolved are left out.

    An argument with the default None also accepts None, even if its annotation does not say so.
    """
    try:
        resolved = get_type_hints(function)
    except Exception:  # noqa: BLE001  # Annotations may use names that are imported only for type checkers.
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
class _KwargsUse:
    """How a constructor uses its ``**kwargs``.

    Attributes:
        to_super: whether the constructor passes its ``**kwargs`` on to ``super().__init__``.
        read: names that the constructor reads from its ``**kwargs``, as by ``kwargs.pop("x")``.
        fixed: names of the keyword arguments that the constructor passes to ``super().__init__`` besides ``**kwargs``.
        num_by_position: number of positional arguments that the constructor passes to ``super().__init__``.
    """

    to_super: bool
    read: frozenset[str]
    fixed: frozenset[str]
    num_by_position: int


def _follow_kwargs(constructor: Any) -> _KwargsUse | None:
    """Finds out, from the source code of a constructor, how the constructor uses its ``**kwargs``.

    Returns None if there is no source code, no ``**kwargs``, or a use that cannot be followed.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(constructor))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None
    if not isinstance(tree, ast.FunctionDef) or tree.args.kwarg is None:
        return None
    name = tree.args.kwarg.arg
    uses = sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _spreads(node, name)]
    read = [key for node in ast.walk(tree) if (key := _key_read(node, name)) is not None]
    owner = constructor.__qualname__.rpartition(".")[0].rpartition(".")[2]
    to_super = [call for call in calls if _is_super_init(call, owner)]
    # If the constructor uses its `**kwargs` in any other way, such as `f(kwargs)`, any argument name may be read there,
    # so that the use cannot be followed.
    if uses != len(to_super) + len(read) or len(to_super) > 1:
        return None
    fixed = {keyword.arg for call in to_super for keyword in call.keywords if keyword.arg}
    by_position = [argument for call in to_super for argument in call.args if not isinstance(argument, ast.Starred)]
    return _KwargsUse(bool(to_super), frozenset(read), frozenset(fixed), len(by_position))


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
    """Whether a call ``super(…)`` in the class `owner` refers to the class that follows `owner` in the method order.

    ``super()`` and ``super(Owner, self)`` do; ``super(OtherClass, self)`` skips some classes.
    """
    arguments = []
    if isinstance(call, ast.Call):
        arguments = call.args
    return not arguments or (isinstance(arguments[0], ast.Name) and arguments[0].id == owner)


def _key_read(node: ast.AST, name: str) -> str | None:
    """Returns the key that an expression reads from the ``**kwargs`` called `name`, else None.

    Recognized are ``kwargs.pop("x")``, ``kwargs.get("x")``, ``kwargs.setdefault("x")``, ``kwargs["x"]`` and
    ``"x" in kwargs``.
    """
    key: ast.expr | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        if node.func.attr in ("pop", "get", "setdefault") and _is_name(node.func.value, name):
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
