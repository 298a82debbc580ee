"""Checks that a hook's methods accept the runner's arguments, when the hook is registered instead of after hours."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from eng.logging.near_names import suggest

from .hook import POINTS, Hook, is_own

__all__ = ["HookSignatureError", "check_options", "check_signatures"]


class HookSignatureError(TypeError):
    """A method of a hook does not accept the arguments with which the runner calls it."""


def check_signatures(hook: Hook) -> None:
    """Checks that the runner can call each overridden method of a hook.

    Args:
        hook: the hook that is to be registered.

    Raises:
        HookSignatureError: a method does not accept the runner's arguments; for a misspelt argument the message
            suggests the right name.

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
    """Checks that a function accepts the extra options of a hook.

    The check is made before training starts, because the hook may call the function only hours later.

    Args:
        hook: the hook that was created with the options.
        options: keyword arguments of the hook that are not parameters of its constructor.
        function: the function that the hook will call with the options.

    Raises:
        TypeError: the function does not accept an option; the message suggests a similar argument of the hook's
            constructor.
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
    """Checks that the method ``name`` of a hook accepts the arguments with which the runner calls the method."""
    expected = [key for key in inspect.signature(getattr(Hook, name)).parameters if key not in ("self", "runner")]
    try:
        signature = inspect.signature(getattr(hook, name))
    except (TypeError, ValueError):
        # A callable that is implemented in C has no signature to check.
        return
    try:
        signature.bind(None, **dict.fromkeys(expected))
    except TypeError:
        raise HookSignatureError(_describe_mismatch(hook, name, expected, signature)) from None


def _describe_mismatch(hook: Hook, name: str, expected: list[str], signature: inspect.Signature) -> str:
    """Returns the message about a method with a wrong signature; for a misspelt argument it suggests the right name."""
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
        problem = f"must take {_quote(missing)}"
    elif foreign:
        problem = f"must not need {_quote(foreign)}"
    hint = ""
    for key in missing:
        matches = difflib.get_close_matches(key, foreign or present, n=1)
        if matches:
            hint = f"; did you mean {key!r} by {matches[0]!r}?"
            break
    return f"{type(hook).__name__}.{name} {problem}: the runner calls it as ({call}){hint}"


def _quote(names: list[Any]) -> str:
    return ", ".join(map(repr, names))
