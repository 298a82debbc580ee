"""Whether a hook's methods take what the runner gives them; asked when the hook is registered, not after hours."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from eng.logging.near_names import suggest

from .hook import POINTS, Hook, is_own

__all__ = ["HookSignatureError", "check_options", "check_signatures"]


class HookSignatureError(TypeError):
    """A method of a hook cannot be called as the runner calls it."""


def check_signatures(hook: Hook) -> None:
    """Makes sure that each method of a hook's own can be called at its point.

    Args:
        hook: to be registered.

    Raises:
        HookSignatureError: one cannot; names it, the argument and a near name.

    Example:
        >>> class Wrong(Hook):
        ...     def after_train_iter(self, runner, batchidx, data_batch=None, outputs=None): ...
        >>> check_signatures(Wrong())
        Traceback (most recent call last):
        ...
        eng.hooks._signatures.HookSignatureError: Wrong.after_train_iter must take 'batch_idx': the runner calls it as \
(runner, batch_idx=..., data_batch=..., outputs=...); did you mean 'batch_idx' by 'batchidx'?
    """
    for name in dict.fromkeys([*POINTS, *filter(None, POINTS.values())]):
        if is_own(hook, name):
            _check(hook, name)


def check_options(hook: Hook, options: Mapping[str, Any], function: Callable[..., Any]) -> None:
    """Makes sure that a function takes the further options of a hook, before the hook calls it after hours.

    Args:
        hook: has the options.
        options: what its constructor has no parameters for.
        function: gets them.

    Raises:
        TypeError: an option that the function does not take; names a near argument of the hook.
    """
    if not options:
        return
    accepted = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        return
    for name in options:
        if name not in accepted:
            known = [key for key in inspect.signature(type(hook)).parameters if key != "kwargs"]
            raise TypeError(f"{type(hook).__name__} takes no argument {name!r}{suggest(name, known)}")


def _check(hook: Hook, name: str) -> None:
    """Makes sure that the runner can call a hook's method with the arguments of its point."""
    expected = [key for key in inspect.signature(getattr(Hook, name)).parameters if key not in ("self", "runner")]
    try:
        signature = inspect.signature(getattr(hook, name))
    except (TypeError, ValueError):  # a callable of C, which tells nothing
        return
    try:
        signature.bind(None, **dict.fromkeys(expected))
    except TypeError:
        raise HookSignatureError(_described(hook, name, expected, signature)) from None


def _described(hook: Hook, name: str, expected: list[str], signature: inspect.Signature) -> str:
    """The message about a method with another signature, with the near name of a misspelt argument."""
    present = list(signature.parameters)
    missing = [key for key in expected if key not in present]
    foreign = [
        key
        for key, parameter in signature.parameters.items()
        if key not in expected and parameter.default is parameter.empty and key != present[0]
    ]
    call = ", ".join(["runner", *(f"{key}=..." for key in expected)])
    problem = "cannot be called"
    if missing:
        problem = f"must take {_quoted(missing)}"
    elif foreign:
        problem = f"must not need {_quoted(foreign)}"
    hint = ""
    for key in missing:
        matches = difflib.get_close_matches(key, foreign or present, n=1)
        if matches:
            hint = f"; did you mean {key!r} by {matches[0]!r}?"
            break
    return f"{type(hook).__name__}.{name} {problem}: the runner calls it as ({call}){hint}"


def _quoted(names: list[Any]) -> str:
    return ", ".join(map(repr, names))
